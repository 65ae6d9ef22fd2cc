"""Table 4: soft against hard labels of the exemplars."""

import sys

from p2o_train.experiments.options import OneDataset, run_experiment

if __name__ == "__main__":
    sys.exit(run_experiment(4, OneDataset, __doc__ or ""))
