"""CAD folders and generators -> shape database."""

import sys

from p2o_shapedb.command import parse, run_command
from p2o_shapedb.config import BuildConfig


def main() -> int:
    """Run the command and return its exit code."""
    config = parse(BuildConfig, "Build the shape database from CAD folders and generators.")

    def body() -> None:
        from p2o_shapedb.build import build
        from p2o_shapedb.reports.summary import describe

        report = build(config)
        print(describe(report))
        print(
            f"wrote {config.out} ({len(report.database.models)} models, "
            f"{len(report.database.exemplar_model)} exemplars); next: "
            f"python train/make_dataset.py --shapedb {config.out}"
        )

    return run_command(body, config.verbose)


if __name__ == "__main__":
    sys.exit(main())
