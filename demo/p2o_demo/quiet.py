"""Keeping the lines of C and C++ libraries off the terminal: they heed no Python setting."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_stderr(prefix: str = "") -> Iterator[None]:
    """Drop the lines that begin with `prefix` from standard error, whoever writes them.

    The others, Python's own warnings among them, come when the body ends.
    """
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            held.seek(0)
            for line in held:
                if not line.startswith(prefix.encode()):
                    os.write(terminal, line)
            os.close(terminal)


def silence_opencv() -> None:
    """Keep OpenCV and FFmpeg from printing their own lines beside our one."""
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    # FFmpeg's own switch, read by OpenCV when it opens the first video; -8 is AV_LOG_QUIET.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
