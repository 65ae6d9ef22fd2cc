"""Run a function over many items in processes that may hang, crash or run out of memory."""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Limits:
    """What the workers may use.

    Attributes:
        workers: Processes; 0 works in the calling process, where no limit applies.
        time_s: Longest time for one item.
        memory_gb: Memory of one worker beyond what it starts with (Linux only).
    """

    workers: int
    time_s: float
    memory_gb: float


@dataclass(frozen=True)
class Outcome(Generic[Value]):
    """What became of one item.

    Attributes:
        index: Of the item.
        value: What the function returned; None if it failed.
        failure: Why it failed, one line; empty if it did not.
        timed_out: Whether it failed for taking too long.
    """

    index: int
    value: Value | None
    failure: str = ""
    timed_out: bool = False


def run_in_workers(
    task: Callable[[Item], Value], items: Sequence[Item], limits: Limits
) -> Generator[Outcome[Value], None, None]:
    """Yield the outcome of every item, in the order in which they end.

    An item that hangs or kills its worker costs a failed outcome and a new worker, nothing else.
    Workers end with the calling process, however that ends.

    Args:
        task: Function of a module that a new process can import.
        items: Its arguments; they travel by pickle, as the values do.
        limits: Number of workers and what they may use.
    """
    if limits.workers == 0:
        for index, item in enumerate(items):
            yield Outcome(index, *_attempt(task, item))
        return
    waiting = list(enumerate(items))[::-1]
    workers = [_Worker(task, limits) for _ in range(min(limits.workers, len(items)))]
    try:
        while waiting or any(worker.index is not None for worker in workers):
            for worker in tuple(workers):
                outcome = worker.poll()
                if worker.gone:
                    worker.stop()
                    workers.remove(worker)
                    if waiting:
                        workers.append(_Worker(task, limits))
                elif worker.ready and worker.index is None and waiting:
                    worker.give(*waiting.pop())
                if outcome is not None:
                    yield outcome
            busy = [worker for worker in workers if worker.index is not None or not worker.ready]
            if busy:
                left = min(worker.left_s for worker in busy)
                wait([worker.connection for worker in busy], timeout=max(left, 0.0))
    finally:
        for worker in workers:
            worker.stop()


class _Worker:
    """One process, and the item it works on."""

    START_S = 120.0

    def __init__(self, task: Callable[[Any], Any], limits: Limits) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, task, limits.memory_gb), daemon=True
        )
        self._process.start()
        theirs.close()
        self._time_s = limits.time_s
        self._deadline = time.monotonic() + self.START_S
        self.index: int | None = None
        self.ready = False
        self.gone = False

    @property
    def left_s(self) -> float:
        """Time until the limit of what it does now."""
        return self._deadline - time.monotonic()

    def give(self, index: int, item: object) -> None:
        """Start on an item."""
        self.index = index
        self._deadline = time.monotonic() + self._time_s
        with contextlib.suppress(BrokenPipeError):  # it died idle: poll tells
            self.connection.send(item)

    def poll(self) -> Outcome[Any] | None:
        """Return the outcome of its item if that has ended; sets `gone` if the worker has."""
        if self.connection.poll():
            try:
                value, failure = self.connection.recv()
            except (EOFError, ConnectionResetError):
                return self._died()
            if not self.ready:
                self.ready = True
                return None
            return self._end(Outcome(self._index, value, failure))
        if self.left_s > 0:
            return None
        if not self.ready:
            raise RuntimeError(f"a worker process did not start within {self.START_S:.0f} s")
        self.gone = True
        failure = f"took longer than --time-limit-s {self._time_s:g}"
        return self._end(Outcome(self._index, None, failure, timed_out=True))

    def stop(self) -> None:
        """End the process now."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self.connection.close()

    @property
    def _index(self) -> int:
        assert self.index is not None
        return self.index

    def _died(self) -> Outcome[Any] | None:
        self._process.join()
        code = self._process.exitcode
        if not self.ready:
            raise RuntimeError(f"a worker process ended with code {code} before it could work")
        self.gone = True
        if self.index is None:
            return None
        return self._end(Outcome(self._index, None, f"the worker process died on it (code {code})"))

    def _end(self, outcome: Outcome[Any]) -> Outcome[Any]:
        self.index = None
        return outcome


def _serve(connection: Connection, task: Callable[[Any], Any], memory_gb: float) -> None:
    """Answer items until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    _end_with_parent()
    _limit_memory(memory_gb)
    # One thread each: as many workers as cores run already.
    os.environ.setdefault("IGL_NUM_THREADS", "1")
    with contextlib.suppress(EOFError, BrokenPipeError):
        connection.send((None, ""))
        while True:
            connection.send(_attempt(task, connection.recv()))


def _attempt(task: Callable[[Any], Any], item: object) -> tuple[Any, str]:
    try:
        return task(item), ""
    except Exception as error:  # whatever a library throws at one file, the others go on
        return None, " ".join(f"{type(error).__name__}: {error}".split())


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if sys.platform == "linux":
        # A library that holds the interpreter's lock would keep the thread below from running.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if parent and os.getppid() != parent.pid:  # it ended before that
            os._exit(1)

    def watch() -> None:
        if parent:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _limit_memory(gigabytes: float) -> None:
    statm = Path("/proc/self/statm")
    if statm.is_file():
        import resource

        used = int(statm.read_text("ascii").split()[5]) * resource.getpagesize()
        limit = used + int(gigabytes * 1e9)
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        if hard == resource.RLIM_INFINITY or limit < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
