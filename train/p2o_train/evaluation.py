"""Score a network on labelled samples with the runtime's own decoder.

Whatever makes the output maps (torch, TFLite float or int8), `points2objects.decode` and
`points2objects.place` turn them into boxes, so the figures are those of the phone.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from p2o_shapedb.database import ShapeDB
from p2o_train.data.sample import Sample
from points2objects.geometry import ByteArray
from points2objects.spec import ModelSpec
from points2objects.tensors import OutputMaps

Predictor = Callable[[ByteArray], OutputMaps]
"""Maps a canonical image, (256, 256, 3) RGB, to the maps that `ModelSpec.outputs` names."""


@dataclass(frozen=True)
class EvaluationReport:
    """Figures of one evaluation.

    Attributes:
        map25: Mean over classes of the average precision at a 3D IoU of 0.25, 0..1.
        map50: The same at 0.5.
    """

    map25: float
    map50: float


def evaluate(
    predict: Predictor,
    spec: ModelSpec,
    samples: Iterable[Sample],
    shapedb: ShapeDB,
    *,
    threshold: float = 0.01,
    known_gravity: bool = True,
    progress: bool = False,
) -> EvaluationReport:
    """Run a network over samples and compare its boxes with theirs in the level frame."""
    raise NotImplementedError
