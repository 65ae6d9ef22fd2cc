"""Table 3: collisions with and without the collision loss."""

import sys

from p2o_train.experiments.options import OneDataset, run_experiment

if __name__ == "__main__":
    sys.exit(run_experiment(3, OneDataset, __doc__ or ""))
