"""Scenes of a shape database -> two contact sheets, rasterised and path-traced."""

import sys

from p2o_shapedb.command import parse, run_command
from p2o_train.rendering.pathtrace_sheets import SheetConfig


def main() -> int:
    """Run the command and return its exit code."""
    config = parse(SheetConfig, "Draw the same scenes with the rasteriser and the path tracer.")

    def body() -> None:
        from p2o_train.rendering.pathtrace_sheets import write_sheets

        write_sheets(config)
        print(f"wrote {' and '.join(map(str, config.paths.values()))} ({config.count} scenes each)")

    return run_command(body, config.verbose)


if __name__ == "__main__":
    sys.exit(main())
