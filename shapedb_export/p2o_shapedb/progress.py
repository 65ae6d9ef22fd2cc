"""Show that something goes on: a bar in a terminal, a line of the log every minute elsewhere."""

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from types import TracebackType
from typing import TypeVar

from tqdm import tqdm

log = logging.getLogger(__name__)

EVERY_S = 55.0
"""Seconds between two lines: a little less than a minute, so that no minute is without one."""

Item = TypeVar("Item")


class Progress:
    """How far a task is; use it as a context manager, or `progress` around what it goes through.

    Lines come from a thread of their own, so that one long item is no silence either.

    Args:
        what: What is done, as in "rendering".
        unit: What is counted, as in "image"; empty for a task without steps.
        total: How many there are, where that is known.
        done: How many were done before.
        every_s: Seconds between two lines.
    """

    def __init__(
        self, what: str, unit: str = "", total: int | None = None, done: int = 0,
        every_s: float = EVERY_S,
    ) -> None:  # fmt: skip
        self.total = total
        self.done = self._before = done
        self.detail = ""
        """What else to tell, as the loss of a training."""
        self._what, self._unit, self._every_s = what, unit, every_s
        self._start = time.monotonic()
        self._bar = (
            tqdm(desc=what, unit=unit, total=total, initial=done, smoothing=0.05)
            if unit and sys.stderr.isatty()
            else None
        )
        self._stopped = threading.Event()
        self._thread = None if self._bar else threading.Thread(target=self._tell, daemon=True)

    def update(self, count: int = 1) -> None:
        """Count so many as done."""
        self.done += count
        if self._bar is not None:
            self._bar.total = self.total
            self._bar.set_postfix_str(self.detail, refresh=False)
            self._bar.update(count)

    def __enter__(self) -> "Progress":
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        if self._bar is not None:
            self._bar.close()

    def _tell(self) -> None:
        while not self._stopped.wait(self._every_s):
            log.info("%s", self.line())

    def line(self) -> str:
        """Say in one line how far it is."""
        seconds = time.monotonic() - self._start
        parts = [f"{_minutes(seconds)} so far"]
        if self._unit:
            of = f" of {self.total}" if self.total else ""
            plural = "es" if self._unit.endswith(("ch", "sh")) else "s"
            parts.insert(0, f"{self.done}{of} {self._unit}{plural}")
        fresh = self.done - self._before
        if self.total and fresh:
            left = seconds / fresh * max(self.total - self.done, 0)
            parts.append(f"about {_minutes(left)} left")
        return f"{self._what}: {', '.join([*parts, *([self.detail] if self.detail else [])])}"


def progress(
    items: Iterable[Item], what: str, unit: str, total: int | None = None
) -> Iterator[Item]:
    """Go through some items, and show how far that is."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    # Closed with the loop: what hands out the items may have workers to end.
    with Progress(what, unit, total) as shown, contextlib.ExitStack() as stack:
        close = getattr(items, "close", None)
        if close is not None:
            stack.callback(close)
        for item in items:
            yield item
            shown.update()


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
