"""Our own network on photographs: the rectangles of the shapes that the runtime would place."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from p2o_train.metrics.rectangle_ap import Rectangles
from p2o_train.predictors import SpecifiedPredictor, load_predictor
from p2o_train.scoring import MIN_PEAKS
from points2objects.bundle import DEFAULT_BUNDLE, EXEMPLARS, MANIFEST
from points2objects.camera import Camera
from points2objects.errors import InputError
from points2objects.exemplars import ExemplarPack
from points2objects.geometry import ByteArray, FloatArray, transform_points
from points2objects.place import estimate_up
from points2objects.scales import check_scales, each_once, look, picture_rectangles
from points2objects.settle import Placed, one_reading_each, settle


@dataclass(frozen=True, eq=False)
class Seen:
    """What the runtime finds in a photograph.

    Attributes:
        ranked: Everything down to the low threshold, for average precision.
        shown: What it shows at the thresholds of its spec.
    """

    ranked: Rectangles
    shown: Rectangles


@dataclass(frozen=True, eq=False)
class PhotoDetector:
    """A network with its shapes.

    Attributes:
        predictor: The network.
        shapes: Its exemplars.
        scales: Looks at each photograph, see `points2objects.scales`.
        least: Least score that is ranked.
    """

    predictor: SpecifiedPredictor
    shapes: ExemplarPack
    scales: tuple[float, ...]
    least: float

    @classmethod
    def load(
        cls,
        path: Path,
        exemplars: Path | None = None,
        scales: Sequence[float] = (1.0,),
        least: float = 0.01,
        threads: int = 1,
    ) -> "PhotoDetector":
        """Load a bundle, or a training run or .tflite file with a pack of exemplars.

        Raises:
            InputError: They do not belong together.
        """
        predictor = load_predictor(path, threads)
        usual = path if (path / MANIFEST).is_file() else DEFAULT_BUNDLE
        shapes = ExemplarPack.load(exemplars or usual / EXEMPLARS)
        if shapes.digest != predictor.spec.shapedb_digest:
            raise InputError(
                f"{path}: made for shape database {predictor.spec.shapedb_digest[:8]}, but the "
                f"exemplars are of {shapes.digest[:8]}; pass --exemplars, the exemplars.glb that "
                "shapedb_export/export_pack.py makes of its database"
            )
        return cls(predictor, shapes, check_scales(scales, predictor.spec), least)

    def find(self, image: ByteArray, camera: Camera) -> Seen:
        """Find the objects of a photograph as the runtime does, by a camera without a pose."""
        spec = self.predictor.spec
        wide = replace(spec, max_objects=max(spec.max_objects, MIN_PEAKS))
        usual = np.array(spec.least_scores)
        looked = look(
            image, camera, wide, self.predictor.predict, np.minimum(usual, self.least), self.scales
        )
        peaks = looked.peaks
        # Only what is shown has a say in where up is, as in the runtime.
        up = estimate_up(peaks[peaks.score >= usual[peaks.class_id]])
        canonical, placed_by = looked.camera.with_gravity(up), camera.with_gravity(up)
        if len(self.scales) > 1:
            peaks = each_once(looked, canonical, wide)
        best = peaks[peaks.score >= usual[peaks.class_id]][: spec.max_objects]
        shown = one_reading_each(settle(best, canonical, spec))
        return Seen(
            self._rectangles(settle(peaks, canonical, wide), canonical, placed_by),
            self._rectangles(shown, canonical, placed_by),
        )

    def _rectangles(self, placed: Placed, canonical: Camera, camera: Camera) -> Rectangles:
        """Return the rectangles about the placed shapes' own points, not about their boxes."""
        boxes = placed.boxes.transformed(canonical.world_from_level())
        matrix = boxes.matrix()
        found = [
            picture_rectangles(
                transform_points(matrix[i], self._points(int(exemplar)))[None], camera
            )[0]
            for i, exemplar in enumerate(placed.peaks.exemplar_id)
        ]
        return Rectangles(
            np.array(found, dtype=float).reshape(-1, 4), placed.peaks.class_id, placed.peaks.score
        )

    def _points(self, exemplar: int) -> FloatArray:
        return np.asarray(self.shapes.meshes[exemplar].vertices, dtype=float)
