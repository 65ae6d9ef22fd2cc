"""Reconstruct the objects in camera frames: webcam, video, pictures or a posed recording."""

import sys

from p2o_demo.command import parse, run_command
from p2o_demo.config import DemoConfig


def main() -> int:
    """Run the command."""
    config = parse(DemoConfig, __doc__ or "")

    def body() -> int:
        from p2o_demo.loop import run

        summary = run(config)
        print(summary)
        return summary.exit_code

    return run_command(body, config.verbose)


if __name__ == "__main__":
    sys.exit(main())
