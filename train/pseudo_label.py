"""Label a folder of photographs with detectors of other people, to train on them."""

import sys

from p2o_shapedb.command import parse, run_command
from p2o_train.pseudo_labelling import PseudoLabelConfig


def main() -> int:
    """Run the command and return its exit code."""
    config = parse(PseudoLabelConfig, __doc__ or "")

    def body() -> None:
        from p2o_train.pseudo_labelling import pseudo_label

        labels = pseudo_label(config)
        objects = [item for photo in labels.photos for item in photo.objects]
        kept = sum(not item.ignore for item in objects)
        print(
            f"wrote {config.out} ({len(labels.photos)} photographs, {kept} boxes to learn from, "
            f"{len(objects) - kept} ignored); next: look at some (--contact-sheet), then "
            f"python train/run.py --photos {config.out}"
        )

    return run_command(body, config.verbose)


if __name__ == "__main__":
    sys.exit(main())
