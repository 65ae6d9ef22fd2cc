"""One process of a team: trains the config.json it is given on the tests' noise.

Run by torchrun from test_team.py.
"""

import importlib.util
import sys
from pathlib import Path

from p2o_train.config import TrainConfig
from p2o_train.engine import train

spec = importlib.util.spec_from_file_location("noise", Path(__file__).with_name("conftest.py"))
assert spec is not None
assert spec.loader is not None
noise = importlib.util.module_from_spec(spec)
spec.loader.exec_module(noise)
result = train(TrainConfig.from_json(Path(sys.argv[1]).read_text()), noise.uneven_noise())
sys.stdout.write(f"{result.leads} {result.steps}\n")
