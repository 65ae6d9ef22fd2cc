"""Stop a training between two steps, so that nothing it has learned is lost."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Stopping:
    """Turns Ctrl-C and SIGTERM into a `KeyboardInterrupt` that never comes inside `whole`."""

    def __init__(self) -> None:
        self._wanted = False
        self._inside = False

    @contextlib.contextmanager
    def whole(self) -> Iterator[None]:
        """Do something whole before stopping; an interrupt that came meanwhile is raised after."""
        self._inside = True
        try:
            yield
        finally:
            self._inside = False
        if self._wanted:
            self._wanted = False
            raise KeyboardInterrupt

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if not self._inside:
            raise KeyboardInterrupt
        self._wanted = True


@contextlib.contextmanager
def stopping() -> Iterator[Stopping]:
    """Watch for interrupts while the body runs; outside the main thread nothing changes."""
    watch = Stopping()
    if threading.current_thread() is not threading.main_thread():
        yield watch
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, watch._ask) for number in signals}
    try:
        yield watch
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
