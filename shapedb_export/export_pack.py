"""Shape database -> exemplars.glb."""

import sys

from p2o_shapedb.command import parse, run_command
from p2o_shapedb.config import PackConfig


def main() -> int:
    """Run the command and return its exit code."""
    config = parse(PackConfig, "Write the exemplars of a shape database as one small GLB.")

    def body() -> None:
        from p2o_shapedb.database import ShapeDB
        from p2o_shapedb.pack import write_pack

        database = ShapeDB.load(config.shapedb)
        report = write_pack(database, config.out, config.triangles, config.overwrite)
        print(
            f"simplification moved the surface by {100 * report.mean_error:.2f} % of the diagonal "
            f"on average, at worst {100 * report.worst_error:.2f} % ({report.worst_model})"
        )
        print(
            f"wrote {config.out} ({report.bytes / 1e6:.2f} MB: {report.exemplars} exemplars, "
            f"{report.bytes / 1e3 / report.exemplars:.1f} KB each, median {report.triangles} "
            "triangles); convert/to_tflite.py puts one into the bundle"
        )

    return run_command(body, config.verbose)


if __name__ == "__main__":
    sys.exit(main())
