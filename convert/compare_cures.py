"""Try the cures of quantisation one by one and together, and show what each buys."""

import sys

from p2o_convert.cures import CuresConfig, compare_cures
from p2o_shapedb.command import parse, run_command


def main(config: CuresConfig) -> None:
    """Measure, write the figures and print the page."""
    print(compare_cures(config))
    print(f"wrote {config.out} and {config.out.with_suffix('.md')}")


if __name__ == "__main__":
    options = parse(CuresConfig, __doc__ or "")
    sys.exit(run_command(lambda: main(options), options.verbose))
