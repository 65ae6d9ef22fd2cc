"""Train a network on a rendered dataset, or go on with a run that was stopped."""

import sys

from p2o_shapedb.command import run_command
from p2o_train.options import parse_training


def main() -> int:
    """Read the options and train."""
    config = parse_training("Train a network; the same command again goes on where it stopped.")

    def body() -> None:
        from p2o_train.engine import train
        from p2o_train.rendered_data import load_training_data

        result = train(config, load_training_data(config))
        if not result.leads:
            return
        print(
            f"trained {result.folder} ({result.steps} steps, {result.minutes:.1f} min; best "
            f"mAP@0.5 {result.map50:.3f}, mAP@0.25 {result.map25:.3f}); "
            f"next: python convert/to_tflite.py {result.folder} --shapedb {config.shapedb} "
            f"--dataset {config.dataset} --out bundles/{result.folder.name}"
        )

    return run_command(body, config.verbose)


if __name__ == "__main__":
    sys.exit(main())
