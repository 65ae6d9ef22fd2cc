import os
import sys

import pytest

from p2o_shapedb.workers import Limits, Outcome, run_in_workers

LIMITS = Limits(workers=1, time_s=60.0, memory_gb=2.0)


def run(items: list[str], limits: Limits = LIMITS) -> list[Outcome[object]]:
    """Evaluate expressions in workers: `eval` is a function that a new process can import."""
    return sorted(run_in_workers(eval, items, limits), key=lambda outcome: outcome.index)


def test_every_item_has_its_outcome() -> None:
    outcomes = run([f"{i} * 2" for i in range(7)], Limits(2, 60.0, 2.0))
    assert [outcome.value for outcome in outcomes] == [0, 2, 4, 6, 8, 10, 12]
    assert not any(outcome.failure for outcome in outcomes)


def test_no_items_start_no_worker() -> None:
    assert run([]) == []


def test_work_happens_in_another_process_unless_told() -> None:
    expression = "__import__('os').getpid()"
    assert run([expression])[0].value != os.getpid()
    assert run([expression], Limits(0, 1.0, 1.0))[0].value == os.getpid()


def test_a_failure_a_death_and_a_hang_cost_one_item_each() -> None:
    items = [
        "1 / 0",
        "__import__('os')._exit(7)",
        "__import__('threading').Event().wait()",
        "'fine'",
    ]
    failed, died, hung, fine = run(items, Limits(1, 5.0, 2.0))
    assert failed.failure == "ZeroDivisionError: division by zero"
    assert died.failure == "the worker process died on it (code 7)"
    assert (hung.failure, hung.timed_out) == ("took longer than --time-limit-s 5", True)
    assert (fine.value, fine.failure) == ("fine", "")


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_memory_is_bounded() -> None:
    small, large = run(["len(bytearray(10**8))", "len(bytearray(3 * 10**9))"])
    assert small.value == 10**8
    assert large.failure.startswith("MemoryError")
