"""Compare the scenes of a recorded clip with boxes that were measured in it by hand."""

import sys

from p2o_shapedb.command import parse, run_command
from p2o_train.clip import ClipConfig, evaluate_clip

if __name__ == "__main__":
    config = parse(ClipConfig, __doc__ or "")
    sys.exit(run_command(lambda: evaluate_clip(config), config.verbose))
