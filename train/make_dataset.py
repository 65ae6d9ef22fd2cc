"""Shape database -> rendered dataset."""

import sys

from p2o_shapedb.command import parse, run_command
from p2o_train.data.making import MakeConfig


def main() -> int:
    """Run the command and return its exit code."""
    config = parse(MakeConfig, "Render labelled scenes of a shape database's models.")

    def body() -> None:
        from p2o_train.data.making import make_dataset

        made = make_dataset(config)
        if made.missing:
            print(
                f"wrote a part of {config.out} ({made.new} images in {made.seconds:.0f} s); "
                f"{made.missing} shards are missing: copy the other parts' shard files there, then "
                "repeat this command without --shard"
            )
            return
        if config.contact_sheet is not None:
            from p2o_train.data.contact_sheet import write_contact_sheet

            write_contact_sheet(config)
            print(f"wrote {config.contact_sheet}")
        print(
            f"wrote {config.out} ({made.samples} images, {made.new} of them new in "
            f"{made.seconds:.0f} s); next: python train/run.py --dataset {config.out} "
            f"--shapedb {config.shapedb}"
        )

    return run_command(body, config.verbose)


if __name__ == "__main__":
    sys.exit(main())
