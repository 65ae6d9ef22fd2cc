"""Score a training run, a bundle or a .tflite on a dataset, with the runtime's own decoder."""

import sys

from p2o_shapedb.command import parse, run_command
from p2o_train.evaluate_command import EvaluateConfig, evaluate_model

if __name__ == "__main__":
    config = parse(EvaluateConfig, __doc__ or "")
    sys.exit(run_command(lambda: evaluate_model(config), config.verbose))
