"""What the conversion commands start from: database, calibration and validation images."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from p2o_convert.calibration import Calibration, from_dataset, from_folder, spread
from p2o_shapedb.cad.overrides import read_overrides
from p2o_shapedb.database import ShapeDB
from p2o_shapedb.sizes import has_usual_size, usual_size
from p2o_train.data.rendered import RenderedDataset
from p2o_train.data.sample import Sample
from points2objects.errors import BundleError, InputError
from points2objects.spec import ModelSpec


def bundle_spec(
    spec: ModelSpec, score_threshold: float | None, by_class: Sequence[str] = ()
) -> ModelSpec:
    """Return the run's contract with the bundle's operating thresholds.

    Args:
        spec: Of the run.
        score_threshold: Least score of an object; the spec's when None.
        by_class: CLASS=SCORE for classes that need another one.

    Raises:
        InputError: A word is no CLASS=SCORE of the spec's classes.
    """
    if score_threshold is not None:
        spec = spec.with_threshold(score_threshold)
    scores = dict(zip(spec.classes, spec.least_scores, strict=True))
    for word in by_class:
        name, _, score = word.partition("=")
        try:
            value = float(score)
        except ValueError:
            value = -1.0
        if name not in spec.classes or not 0 <= value < 1:
            raise InputError(
                f"--class-thresholds: expected CLASS=SCORE with a class of "
                f"{', '.join(spec.classes)} and a score in 0..1, got {word!r}"
            )
        scores[name] = value
    if not by_class:
        return spec
    return replace(spec, class_thresholds=tuple(scores[name] for name in spec.classes))


def known_sizes(shapedb: ShapeDB) -> tuple[tuple[float, float], ...]:
    """Return the least and the greatest diagonal of each class's training models, m.

    Models whose unit is wrong do not count. Nothing, if models of a class have all the same, as
    those of a collection that is scaled to one size have (ShapeNet).
    """
    sizes: list[tuple[float, float]] = []
    known = read_overrides()
    for name in shapedb.classes:
        models = [m for m in shapedb.models if m.class_name == name and m.split == "train"]
        diagonal = np.linalg.norm([m.extent_m for m in models], axis=-1)
        usual = has_usual_size(diagonal, usual_size(diagonal, known.usual_diagonal(name)))
        diagonal = diagonal[usual] if usual.any() else diagonal
        sizes.append((round(float(diagonal.min()), 3), round(float(diagonal.max()), 3)))
    return tuple(sizes) if all(most > 1.01 * least for least, most in sizes) else ()


def load_matching_database(folder: Path, spec: ModelSpec) -> ShapeDB:
    """Load the shape database of a model.

    Raises:
        BundleError: The model was trained with another one.
    """
    shapedb = ShapeDB.load(folder)
    if shapedb.digest != spec.shapedb_digest:
        raise BundleError(
            f"{folder}: is shape database {shapedb.digest[:8]}, but the run was trained with "
            f"{spec.shapedb_digest[:8]}; pass that one as --shapedb"
        )
    return shapedb


def load_calibration(
    dataset: Path, pictures: Path | None, count: int, shapedb: ShapeDB, spec: ModelSpec
) -> Calibration:
    """Load images to calibrate with: of the dataset's train split, or pictures of a folder."""
    if pictures is not None:
        return from_folder(pictures, spec, count)
    return from_dataset(dataset, shapedb, spec, count)


def load_validation(dataset: Path, shapedb: ShapeDB, count: int | None) -> list[Sample]:
    """Load samples to score on, evenly spread over the val split: all when None, none for 0."""
    if count == 0:
        return []
    found = RenderedDataset(dataset, "val", shapedb)
    return [found[i] for i in spread(len(found), len(found) if count is None else count)]
