"""Ending on request: Ctrl-C, `kill`, `docker stop`, a closed terminal.

Between frames a request only sets a flag, so that what is done is whole and can be kept. Anywhere
else it is an exception that cleans up on its way.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Stopped(KeyboardInterrupt):
    """The process was asked to end; `code` is the exit code that says by which signal."""

    def __init__(self, number: int) -> None:
        """Keep the signal's number."""
        super().__init__(signal.Signals(number).name)
        self.code = exit_code(number)


@dataclass
class StopRequest:
    """Whether somebody asked to end.

    Attributes:
        number: The signal; None while nobody has.
    """

    number: int | None = None


def exit_code(number: int) -> int:
    """Return the code that shells expect of a process that a signal ended: 130 for Ctrl-C."""
    return 128 + number


@contextlib.contextmanager
def raising() -> Iterator[None]:
    """Turn signals into `Stopped` while the body runs."""

    def stop(number: int, _: FrameType | None) -> None:
        raise Stopped(number)

    with _handlers(stop):
        yield


@contextlib.contextmanager
def noting() -> Iterator[StopRequest]:
    """Note the first signal while the body runs; a second one raises `Stopped`."""
    request = StopRequest()

    def note(number: int, _: FrameType | None) -> None:
        if request.number is not None:
            raise Stopped(number)
        request.number = number

    with _handlers(note):
        yield request


@contextlib.contextmanager
def _handlers(handler: "signal._HANDLER") -> Iterator[None]:
    """Install a handler; where a signal is ignored (nohup) it stays so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in heeded}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old if old is not None else signal.SIG_DFL)
