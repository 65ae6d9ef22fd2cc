"""What the conversion commands start from: database, calibration and validation images."""

from dataclasses import replace
from pathlib import Path

from p2o_convert.calibration import Calibration, from_dataset, from_folder, spread
from p2o_shapedb.database import ShapeDB
from p2o_train.data.rendered import RenderedDataset
from p2o_train.data.sample import Sample
from points2objects.errors import BundleError
from points2objects.spec import ModelSpec


def bundle_spec(spec: ModelSpec, score_threshold: float | None) -> ModelSpec:
    """Return the run's contract with the bundle's operating threshold."""
    return spec if score_threshold is None else replace(spec, score_threshold=score_threshold)


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
