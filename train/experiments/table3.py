"""Table 3: collisions with and without the collision loss."""

import sys
from pathlib import Path

from p2o_shapedb.command import run_command
from p2o_train.experiments.options import OneDataset, parse_experiment


def main() -> int:
    """Read the options, train what is missing, and write the table."""
    options = parse_experiment(OneDataset, __doc__ or "", Path("experiments/table3"))

    def body() -> None:
        from p2o_train.experiments.running import run_table

        run_table(3, options)

    return run_command(body, options.verbose)


if __name__ == "__main__":
    sys.exit(main())
