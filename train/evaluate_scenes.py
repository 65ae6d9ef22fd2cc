"""Compare the scenes of photographs with what a person sees in them."""

import sys

from p2o_shapedb.command import parse, run_command
from p2o_train.photos import PhotosConfig, evaluate_photos

if __name__ == "__main__":
    config = parse(PhotosConfig, __doc__ or "")
    sys.exit(run_command(lambda: evaluate_photos(config), config.verbose))
