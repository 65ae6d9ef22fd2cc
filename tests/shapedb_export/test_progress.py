import logging
import threading
from collections.abc import Iterator

import pytest

from p2o_shapedb.progress import EVERY_S, Progress, progress


class Heard(logging.Handler):
    """Collects lines, and tells when there are enough."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.enough = threading.Event()
        self._count = count

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        if len(self.lines) >= self._count:
            self.enough.set()


@pytest.fixture
def heard() -> Iterator[Heard]:
    log = logging.getLogger("p2o_shapedb.progress")
    handler, level = Heard(2), log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield handler
    log.removeHandler(handler)
    log.setLevel(level)


def test_a_line_comes_in_every_minute() -> None:
    assert EVERY_S < 60


def test_without_a_terminal_lines_come_while_one_item_takes_long(heard: Heard) -> None:
    with Progress("rendering", "image", total=8, every_s=0.01) as shown:
        shown.update(2)
        assert heard.enough.wait(30)
    assert heard.lines[0].startswith("rendering: 2 of 8 images, ")
    assert heard.lines[0].endswith("left")


def test_a_task_without_steps_tells_how_long_it_takes(heard: Heard) -> None:
    with Progress("clusters", every_s=0.01):
        assert heard.enough.wait(30)
    assert heard.lines[0] == "clusters: 0 s so far"


def test_the_lines_end_with_the_task(heard: Heard) -> None:
    with pytest.raises(ValueError, match="broken"), Progress("x", every_s=0.01):
        raise ValueError("broken")
    assert not [thread for thread in threading.enumerate() if "_tell" in thread.name]


def test_a_line_holds_what_was_done_before_and_what_else_there_is_to_tell() -> None:
    shown = Progress("training", "step", total=100, done=40)
    assert shown.line() == "training: 40 of 100 steps, 0 s so far"
    assert Progress("features", "batch", total=2).line() == "features: 0 of 2 batches, 0 s so far"
    shown.detail = "loss 0.123"
    shown.update(20)
    assert shown.line() == "training: 60 of 100 steps, 0 s so far, about 0 s left, loss 0.123"


def test_items_come_through_unchanged_and_their_source_is_closed() -> None:
    closed = []

    def source() -> Iterator[int]:
        try:
            yield from range(5)
        finally:
            closed.append(True)

    taken = progress(source(), "counting", "number")
    assert [next(taken), next(taken)] == [0, 1]
    taken.close()  # type: ignore[attr-defined]
    assert closed == [True]
    assert list(progress([3, 4], "counting", "number")) == [3, 4]
