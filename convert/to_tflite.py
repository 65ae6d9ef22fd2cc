"""Convert a trained checkpoint to ONNX, TFLite in several formats and a bundle, with proof."""

import sys

from p2o_convert.config import ConvertConfig
from p2o_shapedb.command import parse, refuse_existing, run_command


def main(config: ConvertConfig) -> None:
    """Convert, or say that nothing has changed since the last time."""
    from p2o_convert.fingerprint import unchanged

    if not config.overwrite and unchanged(config):
        print(f"{config.out} is up to date: nothing that it is made of has changed")
        return
    refuse_existing(config.out, config.overwrite)

    from p2o_convert.conversion import convert
    from p2o_convert.report import bars, scores_table, steps_table, verdict
    from p2o_shapedb.progress import Progress

    with Progress("converting"):
        report = convert(config)
    print(steps_table(report.steps))
    print(verdict(report.steps))
    if report.scores:
        print(scores_table(report.scores))
        print("\n".join(bars(report.scores)))
    kilobytes = {path.name: path.stat().st_size / 1e3 for path in config.out.iterdir()}
    print(
        f"wrote {config.out} ({sum(kilobytes.values()) / 1e3:.1f} MB: "
        f"{report.shipped} model {kilobytes['model.tflite'] / 1e3:.1f}, "
        f"exemplars {kilobytes['exemplars.glb'] / 1e3:.1f}) and {config.out}.stages; "
        f"next: python demo/camera.py --bundle {config.out}"
    )


if __name__ == "__main__":
    options = parse(ConvertConfig, __doc__ or "")
    sys.exit(run_command(lambda: main(options), options.verbose))
