"""Judge several forms of a network by the task's own figures, on the same images."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from p2o_convert.agreement import PeakRecorder, agreement
from p2o_shapedb.database import ShapeDB
from p2o_train.data.sample import Sample
from p2o_train.evaluation import evaluate
from p2o_train.predictors import Predictor
from points2objects.decode import Peaks
from points2objects.spec import ModelSpec

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """One form of the network.

    Attributes:
        name: "float32", "int8", ...
        predict: Runs it.
    """

    name: str
    predict: Predictor


def score_candidates(
    candidates: Sequence[Candidate], spec: ModelSpec, samples: Sequence[Sample], shapedb: ShapeDB
) -> dict[str, dict[str, Any]]:
    """Evaluate each on the same samples; name -> figures.

    Besides what `p2o_train.evaluation` measures, `agreement` says how far each sees the same
    objects and exemplars as the first.
    """
    scores: dict[str, dict[str, Any]] = {}
    reference: list[Peaks] = []
    for candidate in candidates:
        log.info("scoring %s on %d validation images", candidate.name, len(samples))
        recorder = PeakRecorder(candidate.predict, spec)
        figures: dict[str, Any] = evaluate(
            recorder, spec, samples, shapedb, progress=True
        ).to_dict()
        if scores:
            figures["agreement"] = asdict(agreement(reference, recorder.peaks))
        else:
            reference = recorder.peaks
        scores[candidate.name] = figures
    return scores
