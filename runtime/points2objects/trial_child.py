"""The other side of `points2objects.trial`: load a model and run it once, under limits."""

import io
import json
import sys
from collections.abc import Callable

import numpy as np

from points2objects.decode import decode
from points2objects.errors import BundleError, Points2ObjectsError
from points2objects.interpreter import Interpreter
from points2objects.spec import ModelSpec
from points2objects.trial import FINE, READY

Say = Callable[[str], None]
"""Is given a line."""


def main() -> None:
    """Serve the request on the standard input; report on the standard output."""
    say = sys.stdout

    def write(line: str) -> None:
        say.write(line)
        say.flush()

    serve(sys.stdin.buffer.read(), write)


def serve(message: bytes, say: Say) -> None:
    """Try the model of a request and say how it went, one line each.

    Args:
        message: From `points2objects.trial.request`.
        say: Is given the lines.
    """
    stream = io.BytesIO(message)
    header = json.loads(stream.readline())
    model, spec = stream.read(), ModelSpec.from_json(header["spec"])
    say(READY + "\n")
    try:
        _limit(header["cpu_s"], header["memory_bytes"])
        interpreter = Interpreter(model, spec)
        shape = (spec.input_size, spec.input_size, 3)
        noise = np.random.default_rng(0).integers(0, 256, shape)
        for image in (np.full(shape, 128, np.uint8), noise.astype(np.uint8)):
            decode(interpreter.run(image), spec, 0.0)
        say(FINE + "\n")
    except MemoryError:
        say(f"{_error(BundleError('model.tflite: takes more memory than a model may'))}\n")
    except Points2ObjectsError as error:
        say(f"{_error(error)}\n")
    except Exception as error:
        what = f"model.tflite: cannot be run ({type(error).__name__}: {error})"
        say(f"{_error(BundleError(what))}\n")


def _error(error: Points2ObjectsError) -> str:
    kind = BundleError if isinstance(error, BundleError | ValueError) else Points2ObjectsError
    return f"{kind.__name__} {' '.join(str(error).split())}"


def _limit(cpu_s: int, memory_bytes: int) -> None:
    """Limit this process to what it has and uses now, and so much more."""
    try:
        import resource
    except ImportError:  # Windows: the parent's time limit is all there is.
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime) + 1
    _lower(resource.RLIMIT_CPU, spent + cpu_s)
    _lower(resource.RLIMIT_CORE, 0)
    if sys.platform == "linux":
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            pages = int(file.read().split()[0])
        _lower(resource.RLIMIT_AS, pages * resource.getpagesize() + memory_bytes)


def _lower(kind: int, value: int) -> None:
    """Lower a limit of this process, if it is not lower already."""
    import resource

    soft, hard = resource.getrlimit(kind)
    allowed = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(kind, (min([value, *allowed]), hard))
