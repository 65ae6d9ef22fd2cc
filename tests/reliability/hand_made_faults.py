"""Put faults into a copy of the project, one at a time, and run the tests that should see them.

A fault that no test notices is a missing test. The first sixteen of `faults.json` were such once.

    python tests/reliability/hand_made_faults.py             all of them
    python tests/reliability/hand_made_faults.py roll peaks  those with one of these words
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).parents[2]
FOLDERS = ("runtime", "shapedb_export", "train", "convert", "demo")
WORKERS = 4
LIST = Path(__file__).with_name("faults.json")


@dataclass(frozen=True)
class Fault:
    """One line changed for the worse.

    Attributes:
        name: What is wrong then.
        file: Where.
        right: What stands there, once.
        wrong: What is put in its place.
        tests: What should notice.
    """

    name: str
    file: str
    right: str
    wrong: str
    tests: str


def main() -> int:
    """Run the faults that the words on the command line name; return 0 if all are caught."""
    words = sys.argv[1:]
    faults = [Fault(**entry) for entry in json.loads(LIST.read_text(encoding="utf-8"))]
    chosen = [f for f in faults if not words or any(word in f.name for word in words)]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(WORKERS) as pool:
        copies: Queue[Path] = Queue()
        for number in range(WORKERS):
            copies.put(_copied(Path(folder) / str(number)))

        def is_caught(fault: Fault) -> bool:
            copy = copies.get()
            try:
                caught = _is_caught(copy, fault)
            finally:
                copies.put(copy)
            _say(f"{'caught' if caught else 'MISSED'}  {fault.name}")
            return caught

        tests = sorted({test for fault in chosen for test in fault.tests.split()})
        sound = pool.submit(_pass, _copied(Path(folder) / "sound"), " ".join(tests))
        caught = sum(pool.map(is_caught, chosen))
        if not sound.result():
            _say("error: the tests fail without a fault, so the faults say nothing")
            return 1
    _say(f"{caught} of {len(chosen)} faults caught")
    return int(caught < len(chosen))


def _copied(copy: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__", "reliability")
    for name in (*FOLDERS, "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _is_caught(copy: Path, fault: Fault) -> bool:
    path = copy / fault.file
    before = path.read_text(encoding="utf-8")
    if before.count(fault.right) != 1:
        raise SystemExit(f"error: {fault.file}: {fault.right!r} must stand there once")
    path.write_text(before.replace(fault.right, fault.wrong), encoding="utf-8")
    try:
        return not _pass(copy, fault.tests)
    finally:
        path.write_text(before, encoding="utf-8")


def _pass(copy: Path, tests: str) -> bool:
    """Run tests in the copy; raises if they could not be run at all."""
    path = os.pathsep.join(str(copy / name) for name in FOLDERS)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *tests.split()],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"error: pytest ended with {done.returncode}:\n{done.stdout[-2000:]}")
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
