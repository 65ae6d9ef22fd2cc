"""Put faults into a copy of the code, one at a time; each must be caught by the tests it names.

    python -m tests.reliability.faults
    python -m tests.reliability.faults --only track

Exits with 1 if a fault passes the tests, or is no longer in the code to be put in.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PARTS = ("runtime", "demo", "tests", "pyproject.toml")


@dataclass(frozen=True)
class Fault:
    """A change of the code that a test must notice.

    Attributes:
        file: The module, from the root.
        right: What stands there.
        wrong: What is put in its place.
        tests: The tests that must fail then.
    """

    file: str
    right: str
    wrong: str
    tests: str


_RUNTIME, _DEMO = "runtime/points2objects", "demo/p2o_demo"

FAULTS = (
    Fault(
        f"{_RUNTIME}/track.py",
        "exemplars = np.array([track.exemplar_id for track in known], dtype=np.int64)",
        "exemplars = detections.exemplar_id",
        "tests/runtime/test_track.py",
    ),
    Fault(
        f"{_RUNTIME}/track.py",
        "gap /= np.maximum(",
        "gap /= np.minimum(",
        "tests/runtime/test_track.py",
    ),
    Fault(
        f"{_RUNTIME}/track.py",
        "> MOST_GAP_S * 1e9",
        "> 1e99",
        "tests/runtime/test_track.py",
    ),
    Fault(
        f"{_RUNTIME}/track.py",
        "KEEPING = 0.5",
        "KEEPING = 0.7",
        "tests/runtime/test_pipeline.py",
    ),
    Fault(
        f"{_RUNTIME}/place.py",
        "(votes * peaks.score[:, None]).sum(axis=0)",
        "votes.sum(axis=0)",
        "tests/runtime/test_place.py",
    ),
    Fault(
        f"{_RUNTIME}/place.py",
        "distance * np.exp(np.clip(scale, -LOG_LIMIT, LOG_LIMIT)),",
        "distance * np.exp(scale),",
        "tests/runtime/test_place.py",
    ),
    Fault(
        f"{_RUNTIME}/camera.py",
        "if np.hypot(up_x, up_y) > 0.1 else 0.0",
        "if np.hypot(up_x, up_y) > 0.01 else 0.0",
        "tests/runtime/test_camera.py",
    ),
    Fault(
        f"{_RUNTIME}/camera.py",
        "if not (0 <= cx <= self.width and 0 <= cy <= self.height):",
        "if False:",
        "tests/runtime/test_camera.py",
    ),
    Fault(
        f"{_RUNTIME}/pipeline.py",
        "        placed = one_reading_each(placed)\n",
        "",
        "tests/runtime/test_pipeline.py",
    ),
    Fault(
        f"{_RUNTIME}/pipeline.py",
        "usual[detections.class_id], timestamp_ns)",
        "usual[detections.class_id])",
        "tests/runtime/test_pipeline.py",
    ),
    Fault(
        f"{_RUNTIME}/preprocess.py",
        "min(max(1, round(float(np.hypot(*row)))), size)",
        "max(1, round(float(np.hypot(*row))))",
        "tests/runtime/test_preprocess.py",
    ),
    Fault(
        f"{_RUNTIME}/staging.py",
        "        _remove_unlocked(path)\n",
        "        path.unlink()\n",
        "tests/runtime/test_files.py",
    ),
    Fault(
        f"{_DEMO}/listing.py",
        "int(part) if index % 2 else part",
        "part",
        "tests/demo/test_listing.py",
    ),
    Fault(
        f"{_DEMO}/streams.py",
        "time_ns = told_ns if told_ns > time_ns else time_ns + round(1e9 / fps)",
        "time_ns = time_ns + round(1e9 / fps)",
        "tests/demo/test_streams.py",
    ),
    Fault(
        f"{_DEMO}/pictures.py",
        "if width * height > MOST_PIXELS:",
        "if False:",
        "tests/demo/test_pictures.py",
    ),
    Fault(
        f"{_DEMO}/session.py",
        "    if depth < 0 or rooted:",
        "    if rooted:",
        "tests/demo/test_recording.py",
    ),
)


def verdict(fault: Fault, copy: Path) -> str:
    """Put a fault into the copy, run its tests and take it out again."""
    path = copy / fault.file
    source = path.read_text(encoding="utf-8")
    if source.count(fault.right) != 1:
        return "NOT IN THE CODE"
    path.write_text(source.replace(fault.right, fault.wrong), encoding="utf-8")
    try:
        return "caught" if tests_fail(fault.tests, copy) else "MISSED"
    finally:
        path.write_text(source, encoding="utf-8")


def tests_fail(tests: str, copy: Path) -> bool:
    """Run tests on the copy; a fault that makes them hang counts as noticed."""
    # The packages of the copy come before those of the installation.
    folders = os.pathsep.join(str(copy / part) for part in ("runtime", "demo"))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", tests]
    try:
        done = subprocess.run(
            command,
            cwd=copy,
            env={**os.environ, "PYTHONPATH": folders},
            capture_output=True,
            check=False,
            timeout=600,
        )
    except subprocess.TimeoutExpired:
        return True
    return done.returncode == 1


def main() -> int:
    """Try the faults whose file or tests hold the word after `--only`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="part of the file's or the tests' name")
    word = parser.parse_args().only
    chosen = [fault for fault in FAULTS if word in fault.file or word in fault.tests]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for part in PARTS:
            copy_of = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy_of(ROOT / part, copy / part)
        for tests in sorted({fault.tests for fault in chosen}):
            if tests_fail(tests, copy):
                sys.stdout.write(f"{tests} fails without any fault\n")
                return 1
        verdicts = [verdict(fault, copy) for fault in chosen]
    for fault, said in zip(chosen, verdicts, strict=True):
        sys.stdout.write(f"{said:16}{fault.file}: {fault.wrong.strip() or 'line removed'}\n")
    return int(set(verdicts) != {"caught"})


if __name__ == "__main__":
    sys.exit(main())
