"""Shape database -> exemplars.glb."""

import sys

from p2o_shapedb.command import atomic_path, parse, refuse_existing, run_command
from p2o_shapedb.config import PackConfig


def main() -> int:
    """Run the command and return its exit code."""
    config = parse(PackConfig, "Write the exemplars of a shape database as one small GLB.")

    def body() -> None:
        from p2o_shapedb.database import ShapeDB
        from p2o_shapedb.packing.pack import write_pack

        if config.report:
            refuse_existing(config.report, config.overwrite)
        database = ShapeDB.load(config.shapedb)
        report = write_pack(database, config.out, config.options, config.overwrite)
        if config.report:
            with atomic_path(config.report, config.overwrite) as temporary:
                temporary.write_text(report.to_csv(), encoding="utf-8")
        worst = report.worst
        print(
            f"surfaces are {100 * report.mean_error:.2f} % of the diagonal from their models on "
            f"average, at worst {100 * worst.error.mean:.2f} % ({worst.name}, {worst.model})"
        )
        following = (
            "for viewers with EXT_meshopt_compression; the runtime reads --compression none"
            if config.compression == "meshopt"
            else "convert/to_tflite.py puts one into the bundle"
        )
        print(
            f"wrote {config.out} ({report.bytes / 1e6:.2f} MB: {len(report.exemplars)} exemplars, "
            f"{report.bytes / 1e3 / len(report.exemplars):.1f} KB each, median "
            f"{report.triangles} triangles); {following}"
        )

    return run_command(body, config.verbose)


if __name__ == "__main__":
    sys.exit(main())
