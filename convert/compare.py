"""Compare an existing bundle, .tflite or .onnx with its checkpoint, stage by stage."""

import sys

from p2o_convert.config import CompareConfig
from p2o_shapedb.command import parse, run_command


def main(config: CompareConfig) -> None:
    """Print the error of every head at every stage."""
    from p2o_convert.compare import compare
    from p2o_convert.errors import ConversionError
    from p2o_convert.parity import first_broken
    from p2o_convert.report import steps_table, verdict

    steps = compare(config)
    print(steps_table(steps))
    if first_broken(steps) is not None:
        raise ConversionError(verdict(steps))
    print(f"compared {config.artefact} with {config.run}: {verdict(steps)}")


if __name__ == "__main__":
    options = parse(CompareConfig, __doc__ or "")
    sys.exit(run_command(lambda: main(options), options.verbose))
