"""Run a model from elsewhere once in a process of its own, before it runs in this one.

The interpreter trusts its file: a damaged .tflite can end the process, fill the memory or never
return. A trial finds that out in a child, which is why it is no sandbox: what the file does there,
it does with the user's rights. A model that passed is remembered by its digest.
"""

import contextlib
import faulthandler
import json
import os
import platform
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path

from points2objects.errors import BundleError, Points2ObjectsError
from points2objects.files import sha256
from points2objects.metadata import check_structure
from points2objects.spec import ModelSpec

START_S = 60.0
"""How long Python may take to start the child, on a busy machine."""
BASE_RUN_S, RUN_S_PER_MB = 30.0, 1.0
"""How long the model may take to load and run once there."""
BASE_CPU_S, BASE_MEMORY_BYTES, MEMORY_FACTOR = 8, 768 << 20, 6
"""Limits on its processor time and memory, where the system has such limits."""

READY, FINE = "ready", "fine"
"""First words of the child's lines: it runs; the model passed. Anything else is an error."""

_PROGRAM = """\
import sys
import json
sys.path[:] = json.loads(sys.argv[1])
from points2objects.trial_child import main
main()
"""
"""What the child runs: on the path of this process, however that came about."""


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Attributes:
        lines: What the child wrote.
        code: Its exit code, negative for a signal; None if it was ended because of the time.
    """

    lines: tuple[str, ...]
    code: int | None

    @property
    def started(self) -> bool:
        """Whether the child got as far as the model."""
        return bool(self.lines) and self.lines[0] == READY


def try_model(model: bytes, spec: ModelSpec) -> None:
    """Check a model's structure, then load and run it in another process; once per model.

    Raises:
        BundleError: It is damaged, crashes the interpreter, takes too long or too much memory, is
            not the spec's, or no other process can be started here.
        Points2ObjectsError: No interpreter is installed.
    """
    check_structure(model)
    passed = _remembered(model, spec)
    # The folder may be closed to us: then the model is tried again next time.
    with contextlib.suppress(OSError):
        if passed is not None and passed.is_file():
            return
    _judge(_outcome(model, spec))
    with contextlib.suppress(OSError):
        if passed is not None:
            passed.parent.mkdir(parents=True, exist_ok=True)
            passed.touch()


def request(model: bytes, spec: ModelSpec) -> bytes:
    """Return what the child reads: one line of limits and the spec, then the model."""
    megabytes = len(model) / 1e6
    header = {
        "spec": spec.to_json(),
        "cpu_s": int(BASE_CPU_S + RUN_S_PER_MB * megabytes),
        "memory_bytes": BASE_MEMORY_BYTES + MEMORY_FACTOR * len(model),
    }
    return json.dumps(header).encode() + b"\n" + model


def cache_folder() -> Path:
    """Return where this system keeps what programs can make again.

    Raises:
        RuntimeError: There is no home folder.
    """
    given = {"win32": "LOCALAPPDATA", "darwin": ""}.get(sys.platform, "XDG_CACHE_HOME")
    base = Path(os.environ.get(given, "")) if given else Path()
    if not base.is_absolute():
        home = Path.home()
        base = home / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return base / "points2objects"


def _remembered(model: bytes, spec: ModelSpec) -> Path | None:
    """Return the file that stands for a trial that was passed; None where there is no home."""
    conditions = [
        sha256(model),
        spec.to_json(),
        platform.system(),
        platform.machine(),
        *(f"{name} {_version(name)}" for name in ("ai-edge-litert", "tflite-runtime")),
    ]
    try:
        return cache_folder() / "tried" / sha256("\n".join(conditions).encode())
    except RuntimeError:
        return None


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _outcome(model: bytes, spec: ModelSpec) -> Outcome:
    message, limit_s = request(model, spec), BASE_RUN_S + RUN_S_PER_MB * len(model) / 1e6
    python = _python()
    if python is not None:
        with contextlib.suppress(OSError):
            outcome = _run_python(python, message, START_S + limit_s)
            if outcome.started:
                return outcome
    if hasattr(os, "fork"):
        with contextlib.suppress(OSError):
            return _run_fork(message, limit_s)
    raise BundleError(
        "model.tflite: comes from elsewhere and cannot be tried in a process of its own here; load "
        "it once with the command line's Python, or pass trusted=True if you trust its author"
    )


def _python() -> str | None:
    """Return a Python to start; None in a frozen app or inside another program."""
    name = Path(sys.executable or "").name.lower()
    if getattr(sys, "frozen", False) or not name.startswith(("python", "pypy")):
        return None
    return sys.executable


def _run_python(python: str, message: bytes, limit_s: float) -> Outcome:
    path = json.dumps([str(Path(entry).absolute()) for entry in sys.path if isinstance(entry, str)])
    # Isolated, so that no module of the working directory comes first; our path follows as is.
    with subprocess.Popen(
        [python, "-I", "-c", _PROGRAM, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(os.environ),
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),  # Windows has it.
    ) as child:
        try:
            said, _ = child.communicate(message, timeout=limit_s)
            return Outcome(_lines(said), child.returncode)
        except subprocess.TimeoutExpired:
            child.kill()
            said, _ = child.communicate()
            return Outcome(_lines(said), None)
        except BaseException:
            child.kill()
            raise


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    """Return the child's environment: one thread, as its limits count threads' memory too."""
    single = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return {**ours, **dict.fromkeys(single, "1")}


def _run_fork(message: bytes, limit_s: float) -> Outcome:
    """Try a model in a copy of this process, where there is no Python to start."""
    # By name: the child's side stands above the interpreter, this one below it.
    serve = import_module("points2objects.trial_child").serve
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Other threads do not exist in the child; it takes nothing of what they held.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:  # pragma: no cover - ends without a report on coverage
        try:
            os.close(reading)
            faulthandler.disable()
            serve(message, lambda line: os.write(writing, line.encode()) and None)
        finally:
            os._exit(0)
    os.close(writing)
    status = _wait(child, limit_s)
    with open(reading, "rb") as pipe:  # noqa: PTH123 - a descriptor has no path
        said = pipe.read(1 << 16)
    return Outcome(_lines(said), None if status is None else os.waitstatus_to_exitcode(status))


def _wait(child: int, limit_s: float) -> int | None:
    """Wait for a child; end it when its time is over, and return None then."""
    end = time.monotonic() + limit_s
    try:
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return status
            time.sleep(0.005)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _lines(said: bytes) -> tuple[str, ...]:
    return tuple(said.decode("utf-8", "replace").splitlines())


def _judge(outcome: Outcome) -> None:
    """Raise what the outcome of a trial amounts to, or return when the model passed."""
    kind, _, text = (outcome.lines[-1] if outcome.lines else "").partition(" ")
    if outcome.code is None:
        raise BundleError(
            "model.tflite: did not finish one image in the time that is allowed, in a process of "
            "its own; it is damaged or not for this machine: get the bundle again"
        )
    if kind == FINE and outcome.code == 0:
        return
    if kind == "BundleError":
        raise BundleError(text)
    if kind == "Points2ObjectsError":
        raise Points2ObjectsError(text)
    raise BundleError(
        f"model.tflite: ended the process that tried it ({_end(outcome.code)}); it is damaged or "
        "harmful: get the bundle again from someone whom you trust"
    )


def _end(code: int) -> str:
    """Name how a process ended."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
