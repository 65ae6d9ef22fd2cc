"""The list of faults put in by hand fits the code, and every one of them is caught."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def test_every_fault_has_its_place_and_its_tests() -> None:
    faults = json.loads((HERE / "faults.json").read_text(encoding="utf-8"))
    assert len({fault["name"] for fault in faults}) == len(faults) >= 42
    for fault in faults:
        text = (ROOT / fault["file"]).read_text(encoding="utf-8")
        assert text.count(fault["right"]) == 1, fault["name"]
        assert fault["wrong"] != fault["right"]
        for test in fault["tests"].split():
            assert (ROOT / test.partition("::")[0]).is_file(), fault["name"]


@pytest.mark.weekly
def test_every_fault_is_caught() -> None:
    command = [sys.executable, str(HERE / "hand_made_faults.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
