"""Table 1: voxel IoU of whole scenes, absolute, aligned and relative to the oracle."""

import sys

from p2o_train.experiments.options import OneModel, run_experiment

if __name__ == "__main__":
    sys.exit(run_experiment(1, OneModel, __doc__ or ""))
