"""Table 1: voxel IoU of whole scenes, absolute, aligned and relative to the oracle."""

import sys
from pathlib import Path

from p2o_shapedb.command import run_command
from p2o_train.experiments.options import OneModel, parse_experiment


def main() -> int:
    """Read the options, train what is missing, and write the table."""
    options = parse_experiment(OneModel, __doc__ or "", Path("experiments/table1"))

    def body() -> None:
        from p2o_train.experiments.running import run_table

        run_table(1, options)

    return run_command(body, options.verbose)


if __name__ == "__main__":
    sys.exit(main())
