"""The project's rules as tests, so that one command says whether a change keeps them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

pytestmark = pytest.mark.slow


def check(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def test_ruff_finds_nothing() -> None:
    check(str(BIN / "ruff"), "check", ".")


def test_ruff_would_format_nothing() -> None:
    check(str(BIN / "ruff"), "format", "--check", ".")


def test_mypy_finds_nothing() -> None:
    check(sys.executable, "-m", "mypy")


def test_pyright_finds_nothing() -> None:
    check(str(BIN / "pyright"), "--pythonpath", sys.executable)


def test_imports_point_one_way() -> None:
    check(str(BIN / "lint-imports"))
