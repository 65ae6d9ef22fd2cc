"""Damaged pictures, films and recordings are read or refused, soon and in little memory.

To repeat one input: `python tests/demo/fuzz_sources.py SEED NUMBER 1 --keep FOLDER`.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fuzz_sources.py")
MOST_MB = 1024


def run(seed: int, first: int, count: int) -> Counter[str]:
    command = [sys.executable, str(SCRIPT), str(seed), str(first), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    # The child names each input before it reads it: the last one named is the one that ended it.
    assert done.returncode == 0, (lines[-1:], done.returncode, done.stderr[-2000:])
    ended = [line for line in lines if "how" in line]
    assert len(ended) == count
    odd = [line for line in ended if line["how"] not in ("read", "refused")]
    assert odd == []
    assert max(line["peak_mb"] for line in ended) < MOST_MB
    return Counter(line["how"] for line in ended)


def test_a_sample_of_damaged_sources_is_read_or_refused() -> None:
    how = run(seed=1, first=0, count=60)
    assert min(how["read"], how["refused"]) >= 10


@pytest.mark.weekly
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_damaged_sources_are_read_or_refused(seed: int) -> None:
    how = sum((run(seed, first, 100) for first in range(0, 500, 100)), Counter[str]())
    assert min(how["read"], how["refused"]) >= 100
