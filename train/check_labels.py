"""Draw a dataset's labels on a contact sheet, and prove them by its masks."""

import sys

from p2o_shapedb.command import parse, run_command
from p2o_train.data.label_check import CheckConfig

SHOWN = 20


def main() -> int:
    """Run the command and return its exit code: 1 if a label is wrong."""
    config = parse(CheckConfig, "Draw a dataset's labels, and prove them by its masks.")
    wrong: list[str] = []

    def body() -> None:
        from p2o_train.data.label_check import check_labels

        checked = check_labels(config)
        wrong.extend(checked.faults)
        print(f"wrote {config.out}")
        if not checked.objects:
            print("nothing was proved: the dataset holds no masks (make_dataset.py --masks)")
        elif not wrong:
            print(
                f"proved {checked.objects} labels of {checked.samples} samples; every box covers "
                f"{100 * checked.least_covered:.1f} % of its mask or more"
            )
        for line in wrong[:SHOWN]:
            print(line)
        if wrong:
            print(
                f"{len(wrong)} faults among {checked.objects} labels of {checked.samples} samples"
            )

    return run_command(body, config.verbose) or int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
