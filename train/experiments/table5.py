"""Table 5: trained on pairs or triplets of objects, tested on the other."""

import sys

from p2o_train.experiments.options import PairsAndTriplets, run_experiment

if __name__ == "__main__":
    sys.exit(run_experiment(5, PairsAndTriplets, __doc__ or ""))
