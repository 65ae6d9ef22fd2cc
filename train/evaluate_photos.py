"""How well a network finds what is in labelled photographs, beside detectors of other people."""

import sys

from p2o_shapedb.command import parse, run_command
from p2o_train.photo_report import EvaluatePhotosConfig, evaluate_photos

if __name__ == "__main__":
    config = parse(EvaluatePhotosConfig, __doc__ or "")
    sys.exit(run_command(lambda: evaluate_photos(config), config.verbose))
