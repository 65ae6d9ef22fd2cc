"""Damaged bundles, packs and shards are read or refused: no signal, no hang, little memory.

To repeat one input: `python tests/reliability/fuzz_files.py SEED NUMBER 1 --keep FOLDER`.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fuzz_files.py")
MOST_MB, MOST_CPU_S = 1024, 10


def run(seed: int, first: int, count: int) -> Counter[str]:
    command = [sys.executable, str(SCRIPT), str(seed), str(first), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    # The child names each input before it reads it: the last one named is the one that ended it.
    assert done.returncode == 0, (lines[-1:], done.returncode, done.stderr[-2000:])
    ended = [line for line in lines if "how" in line]
    assert len(ended) == count
    assert [line for line in ended if line["how"] not in ("read", "refused")] == []
    assert max(line["peak_mb"] for line in ended) < MOST_MB
    assert max(line["cpu_s"] for line in ended) < MOST_CPU_S
    return Counter(f"{line['kind']} {line['how']}" for line in ended)


def test_a_sample_of_damaged_files_is_read_or_refused() -> None:
    how = run(seed=1, first=0, count=120)
    assert {f"{kind} refused" for kind in ("bundle", "pack", "shard")} <= set(how)


@pytest.mark.weekly
@pytest.mark.parametrize("seed", [2, 3, 4, 5])
def test_damaged_files_are_read_or_refused(seed: int) -> None:
    how = sum((run(seed, first, 250) for first in range(0, 500, 250)), Counter[str]())
    assert len(how) == 6  # Each kind both ways.
