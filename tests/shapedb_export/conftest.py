"""One small database for the tests of this folder."""

import pytest

from p2o_shapedb.build import build
from p2o_shapedb.config import BuildConfig
from p2o_shapedb.reports.report import BuildReport


@pytest.fixture(scope="session")
def small_build(tmp_path_factory: pytest.TempPathFactory) -> BuildReport:
    out = tmp_path_factory.mktemp("build") / "shapedb"
    return build(BuildConfig(out=out, procedural=5, exemplars_per_class=2, workers=0))
