"""Options and exit codes of the demo's command.

The demo sees only what an app would see, so it does not import the developer tools' version.
"""

import contextlib
import io
import logging
import sys
import traceback
from collections.abc import Callable
from typing import TypeVar

from p2o_demo.stopping import Stopped, raising
from points2objects.errors import Points2ObjectsError

Config = TypeVar("Config")


def parse(config_type: type[Config], description: str, args: list[str] | None = None) -> Config:
    """Read the options of a command into its config record.

    Raises:
        SystemExit: 0 after `--help`, 2 for unknown options or values the record refuses.
    """
    import tyro

    shown = io.StringIO()
    try:
        with contextlib.redirect_stderr(shown):
            return tyro.cli(config_type, description=description, args=args)
    except SystemExit as stop:
        refused: BaseException | None = stop
        while refused is not None and not isinstance(refused, Points2ObjectsError):
            refused = refused.__cause__ or refused.__context__
        sys.stderr.write(f"error: {refused}\n" if refused else shown.getvalue())
        raise SystemExit(stop.code) from None


def run_command(main: Callable[[], int], verbose: bool = False) -> int:
    """Run the command's body and return its exit code.

    What the body returns: 0 done, 130 or 143 stopped early with a result. 2 misused or bad input;
    130 (Ctrl-C), 143 (SIGTERM) stopped without a result; 1 anything else. A failure prints one
    line that starts with `error:`, and with `verbose` the traceback above it.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # File names may hold bytes that are no text in any encoding.
            stream.reconfigure(errors="backslashreplace")
    # Pillow tells each tag that it reads.
    logging.getLogger("PIL").setLevel(logging.INFO)
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        with raising():
            return main()
    except Points2ObjectsError as error:
        return _failed(str(error), 2, verbose)
    except Stopped as stopped:
        return _failed(f"stopped by {stopped}", stopped.code, verbose)
    except KeyboardInterrupt:
        return _failed("interrupted", 130, verbose)
    except Exception as error:
        hint = "" if verbose else " (--verbose shows where)"
        return _failed(f"{type(error).__name__}: {error}{hint}", 1, verbose)


def _failed(message: str, code: int, verbose: bool) -> int:
    if verbose:
        traceback.print_exc()
    sys.stderr.write("error: " + " ".join(message.split()) + "\n")
    return code
