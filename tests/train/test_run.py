"""The command itself: exit codes and one-line errors."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "train" / "run.py"


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words], capture_output=True, text=True, check=False
    )


def test_help_lists_the_presets_without_importing_torch() -> None:
    probe = (
        "import runpy, sys\n"
        f"sys.argv = ['run.py', '--help']\n"
        "try:\n"
        f"    runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
        "except SystemExit as stop:\n"
        "    assert stop.code == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "smoke,mobile,photo,paper" in result.stdout


def test_a_missing_database_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    result = run("--shapedb", str(tmp_path / "none"), "--out", str(tmp_path / "out"))
    assert result.returncode == 2
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "is no shape database" in errors[0]
    assert "Traceback" not in result.stderr


def test_a_wrong_option_is_one_line_and_exit_code_2() -> None:
    result = run("--epochs", "0")
    assert result.returncode == 2
    assert "error: --epochs must be at least 1, got 0" in result.stderr
