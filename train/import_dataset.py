"""CoReNet's scenes or Pix3D's photographs -> a dataset as make_dataset.py writes it."""

import sys

from p2o_shapedb.command import parse, run_command
from p2o_train.data.importing import ImportConfig


def main() -> int:
    """Run the command and return its exit code."""
    config = parse(ImportConfig, "Turn a dataset that other people made into one of ours.")

    def body() -> None:
        from p2o_train.data.corenet import held_out_models
        from p2o_train.data.importing import import_dataset
        from p2o_train.data.pix3d_models import FRONT, link_models
        from points2objects.files import write_file

        if config.list_models is not None:
            models = held_out_models(config.root, config.scenes)
            write_file(config.list_models, ("\n".join(models) + "\n").encode())
            print(
                f"wrote {config.list_models} ({len(models)} models); next: python "
                f"shapedb_export/build_db.py --shapenet {config.shapenet} --procedural 0 "
                f"--exemplars any --held-out {config.list_models}"
            )
            return
        if config.link_cad:
            count = link_models(config.root, config.cad)
            print(
                f"linked {count} meshes into {config.cad}; next: python shapedb_export/build_db.py "
                f"--cad {config.cad} --front={FRONT} --procedural 0 --exemplars any "
                "--classes bed chair sofa table --exemplars-per-class 10"
            )
            return
        done = import_dataset(config)
        if config.contact_sheet is not None:
            from p2o_train.data.contact_sheet import write_contact_sheet

            write_contact_sheet(config)
            print(f"wrote {config.contact_sheet}")
        print(
            f"wrote {config.out} ({done.made.samples} images, {done.made.new} of them new in "
            f"{done.made.seconds:.0f} s; left out {done.without_model} with models that the "
            f"database lacks, {done.without_label} with nothing to label); next: "
            f"python train/run.py --dataset {config.out} --shapedb {config.shapedb}"
        )

    return run_command(body, config.verbose)


if __name__ == "__main__":
    sys.exit(main())
