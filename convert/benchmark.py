"""Compare size, speed and task figures of every format of a model, torch and ONNX included."""

import sys

from p2o_convert.benchmark import BenchmarkConfig, benchmark
from p2o_shapedb.command import parse, run_command


def main(config: BenchmarkConfig) -> None:
    """Measure, write the figures and print the page."""
    print(benchmark(config))
    print(f"wrote {config.out} and {config.out.with_suffix('.md')}")


if __name__ == "__main__":
    options = parse(BenchmarkConfig, __doc__ or "")
    sys.exit(run_command(lambda: main(options), options.verbose))
