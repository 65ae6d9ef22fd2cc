"""Table 2: four formulations of the box, trained alike."""

import sys

from p2o_train.experiments.options import OneDataset, run_experiment

if __name__ == "__main__":
    sys.exit(run_experiment(2, OneDataset, __doc__ or ""))
