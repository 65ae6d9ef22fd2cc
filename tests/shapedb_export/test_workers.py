import os
import subprocess
import sys
import time
from pathlib import Path

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


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a worker that is stuck lives on")
def test_a_stuck_worker_ends_with_a_killed_parent(tmp_path: Path) -> None:
    # A regular expression that never ends holds the interpreter's lock.
    stuck = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(__import__('os').getpid()))"
    stuck = f"({stuck}, __import__('re').match('(a+)+$', 'a' * 99 + 'b'))"
    code = "from p2o_shapedb.workers import Limits, run_in_workers\n"
    code += f"list(run_in_workers(eval, [{stuck!r}], Limits(1, 600.0, 2.0)))"
    with subprocess.Popen([sys.executable, "-c", code]) as parent:
        pid = wait_for_number(tmp_path / "pid")
        parent.kill()
    end = time.monotonic() + 20
    while is_running(pid):
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def wait_for_number(path: Path) -> int:
    end = time.monotonic() + 120
    while not (path.is_file() and path.read_text()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return int(path.read_text())
