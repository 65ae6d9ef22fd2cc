import os

import pytest

from p2o_demo.quiet import quiet_stderr


def test_lines_of_native_code_are_dropped_by_their_beginning(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with quiet_stderr("INFO: "):
        os.write(2, b"INFO: a delegate was made\nWARNING slow interpreter\n")
    os.write(2, b"INFO: after\n")
    assert capfd.readouterr().err == "WARNING slow interpreter\nINFO: after\n"


def test_everything_is_dropped_without_a_beginning(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_stderr():
        os.write(2, b"libpng error: Read Error\n")
    assert capfd.readouterr().err == ""


def test_stderr_is_back_after_a_failure(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with quiet_stderr("INFO: "):
            os.write(2, b"what went wrong\n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "what went wrong\nafter\n"
