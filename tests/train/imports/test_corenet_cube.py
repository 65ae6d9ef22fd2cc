"""CoReNet's evaluation cube: where its document's camera sees it, and kept by a dataset."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from p2o_shapedb.database import ShapeDB
from p2o_train.data.corenet import CoReNetDataset, CoReNetOptions
from p2o_train.data.corenet_scene import EYE
from p2o_train.data.sample import Sample
from p2o_train.data.shards import from_label, to_label
from points2objects.geometry import Box9DoF, transform_points

if TYPE_CHECKING:
    from tests.train.imports.conftest import CoReNetWriter


@pytest.fixture
def sample(
    corenet: "CoReNetWriter", shapenet: Path, shapenet_db: ShapeDB, tmp_path: Path
) -> Sample:
    root = corenet.split("triplets.train", corenet.scene())
    options = CoReNetOptions(shapenet, cache=tmp_path)
    return CoReNetDataset(root, "triplets.train", shapenet_db, options)[0]


def _cube(sample: Sample) -> Box9DoF:
    assert sample.scene_cube is not None
    return sample.scene_cube


def test_the_cube_is_seen_where_the_document_says(sample: Sample) -> None:
    recon = np.array([[0.5, 1, 0.5], [0.5, 0.5, 1], [0, 0, 1], [1, 1, 1]])
    # The cube's own axes are the camera's: y down.
    unit = (recon - 0.5) * [1, -1, 1]
    x, y, depth = sample.camera.project(transform_points(_cube(sample).matrix(), unit)).T
    edge = 128 - 0.5 / (1 - EYE[2]) * 221.7025
    np.testing.assert_allclose(x, [128, 128, edge, 256 - edge], atol=0.05)
    np.testing.assert_allclose(y, [46.9, 128, 256 - edge, edge], atol=0.05)
    np.testing.assert_allclose(depth[1] / depth[0], (1 - EYE[2]) / (0.5 - EYE[2]), atol=1e-6)


def test_the_objects_of_a_scene_lie_in_it(sample: Sample) -> None:
    inside = transform_points(np.linalg.inv(_cube(sample).matrix()), sample.boxes.translation)
    assert (np.abs(inside) < 0.5).all()


def test_a_dataset_keeps_it(sample: Sample, shapenet_db: ShapeDB) -> None:
    import cv2

    jpeg = cv2.imencode(".jpg", sample.image)[1].tobytes()
    label = json.loads(json.dumps(to_label(sample, shapenet_db)))
    read = from_label(label, jpeg, shapenet_db)
    np.testing.assert_allclose(_cube(read).matrix(), _cube(sample).matrix())
    del label["scene_cube"]
    assert from_label(label, jpeg, shapenet_db).scene_cube is None
