"""Print parameters, multiply-adds and CPU latency of the networks, as a table."""

import sys
from dataclasses import dataclass

from p2o_shapedb.command import parse, run_command
from p2o_train.options import parse_training
from points2objects.errors import InputError


@dataclass(frozen=True)
class DescribeConfig:
    """What to describe."""

    presets: tuple[str, ...] = ("mobile", "paper")
    """Presets of train/run.py, or words after one: "mobile --input-size 128"."""
    classes: int = 6
    """Classes of the heat-map."""
    exemplars_per_class: int = 50
    """Exemplars of each."""
    threads: int = 1
    """CPU threads."""
    repeats: int = 100
    """Timed images; 0: do not time."""
    verbose: bool = False
    """Show tracebacks."""

    def __post_init__(self) -> None:
        if min(self.classes, self.exemplars_per_class, self.threads) < 1 or self.repeats < 0:
            raise InputError("--classes, --exemplars-per-class and --threads must be at least 1")


def describe(config: DescribeConfig) -> None:
    """Build each network without its weights and measure it."""
    from p2o_train.network.describe import describe_presets

    networks = {name: parse_training("", ["--preset", *name.split()]) for name in config.presets}
    sizes = (config.classes, config.exemplars_per_class)
    print(describe_presets(networks, sizes, config.threads, config.repeats))


if __name__ == "__main__":
    options = parse(DescribeConfig, __doc__ or "")
    sys.exit(run_command(lambda: describe(options), options.verbose))
