import numpy as np
import pytest
from PIL import Image

from p2o_shapedb.clustering.soft_labels import soft_labels, soft_radius
from p2o_shapedb.reports.report import BuildReport
from p2o_shapedb.reports.soft_plot import BINS, target_shares


def test_soft_labels_are_one_for_the_same_shape_and_fall_linearly_to_zero() -> None:
    labels = soft_labels(np.array([[0.0, 0.05, 0.1, 0.4]]), 0.1)
    np.testing.assert_allclose(labels, [[1.0, 0.5, 0.0, 0.0]])


def test_the_radius_sends_half_of_the_other_exemplars_to_zero() -> None:
    distances = np.random.default_rng(0).uniform(0.05, 0.2, (101, 11))
    distances[:, 4] = 0.01
    labels = soft_labels(distances, soft_radius(distances))
    others = np.delete(labels, 4, axis=1)
    assert np.mean(others == 0) == pytest.approx(0.5, abs=0.01)
    assert (labels[:, 4] > 0.8).all()


def test_one_exemplar_per_class_still_has_a_radius() -> None:
    assert soft_radius(np.array([[0.0], [0.1]])) > 0


def test_the_plot_shows_shares_of_all_targets(small_build: BuildReport) -> None:
    database = small_build.database
    for class_id, name in enumerate(database.classes):
        others, nearest = target_shares(database, class_id)
        assert others.sum() == pytest.approx(1.0)
        assert nearest.sum() == pytest.approx(1.0)
        free = [
            i
            for i, model in enumerate(database.models)
            if model.class_name == name and i not in database.exemplar_model
        ]
        low = (database.soft_labels[free].min(axis=1) < 1 / BINS).mean()
        assert others[0] == pytest.approx(low)  # two exemplars: the lesser is the only other


def test_the_plot_has_a_coloured_panel_per_class(small_build: BuildReport) -> None:
    assert small_build.database.folder is not None
    with Image.open(small_build.database.folder / "soft_labels.png") as image:
        pixels = np.asarray(image.convert("RGB"), int)
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 3
    orange = (pixels[..., 0] - pixels[..., 2]) > 120
    for row in range(2):
        for column in range(3):
            panel = orange[row * height : (row + 1) * height, column * width : (column + 1) * width]
            assert panel.sum() > 200
