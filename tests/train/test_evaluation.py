"""The evaluation on maps that hold the truth, noise, or the truth with wrong gravity."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from p2o_shapedb.database import ModelEntry, ShapeDB
from p2o_train.data.sample import Sample
from p2o_train.evaluation import evaluate, evaluate_both
from p2o_train.metrics.scene_voxels import Solid
from p2o_train.predictors import torch_predictor
from p2o_train.scene_score import VoxelMeter
from p2o_train.scoring import score_sample
from points2objects.camera import Camera, level_from_up
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF, ByteArray, FloatArray, rigid, rotation_about_y
from points2objects.place import encode_pose
from points2objects.spec import ModelSpec, PoseEncoding
from points2objects.tensors import OutputMap, OutputMaps

CLASSES = ("bottle", "chair", "table")
SYMMETRY = {"bottle": 0, "chair": 1, "table": 4}
K_EXEMPLARS = 2


def _shapedb() -> ShapeDB:
    """Two models per class, each its own exemplar: a ball and a slab."""
    axis = (np.arange(32) + 0.5) / 32 - 0.5
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    shapes = [np.sqrt(x**2 + y**2 + z**2) - 0.5, np.abs(y) - 0.3]
    models = tuple(
        ModelEntry(f"{name}/{i}", name, "val", "test", "CC0", "", True, (0.4, 0.5, 0.4), order, 0)
        for name, order in SYMMETRY.items()
        for i in range(K_EXEMPLARS)
    )
    n = len(models)
    return ShapeDB(
        classes=CLASSES,
        exemplars_per_class=K_EXEMPLARS,
        models=models,
        sdf=np.stack(shapes * len(CLASSES)),
        points=np.zeros((n, 512, 3)),
        exemplar_id=np.arange(n),
        exemplar_model=np.arange(n),
        soft_labels=np.tile(np.eye(K_EXEMPLARS), (len(CLASSES), 1)),
        soft_radius=np.ones(len(CLASSES)),
    )


def _spec(database: ShapeDB, pose: PoseEncoding = PoseEncoding.RAY) -> ModelSpec:
    return ModelSpec("test", CLASSES, K_EXEMPLARS, database.digest, pose=pose, score_threshold=0.4)


def _camera(pitch: float, roll: float) -> Camera:
    up = np.array([np.sin(roll), -np.cos(roll) * np.cos(pitch), -np.sin(pitch)])
    pose = rigid(level_from_up(up), np.array([0.0, 1.0, 0.0]))
    return replace(Camera.from_fov(60, 256, 256), world_from_camera=pose)


def _sample(rng: np.random.Generator, mark: int, pitch: float = 0.6) -> Sample:
    """One object of each class side by side; the first pixel says which sample it is."""
    camera = _camera(pitch, rng.uniform(-0.1, 0.1))
    image = np.zeros((256, 256, 3), np.uint8)
    image[0, 0] = mark
    scale = rng.uniform(0.2, 0.4, (3, 3))
    scale[[0, 2], 2] = scale[[0, 2], 0]  # bottle and table have a square footprint
    x = np.array([-0.55, 0, 0.55]) + rng.uniform(-0.05, 0.05, 3)
    translation = np.stack([x, scale[:, 1] / 2, rng.uniform(-1.8, -1.4, 3)], axis=1)
    class_id = rng.permutation(3)
    scale = scale[class_id]
    translation[:, 1] = scale[:, 1] / 2
    return Sample(
        image=image,
        camera=camera,
        boxes=Box9DoF(rotation_about_y(rng.uniform(-3, 3, 3)), translation, scale),
        class_id=class_id,
        model_index=class_id * K_EXEMPLARS + rng.integers(0, K_EXEMPLARS, 3),
        visible_fraction=np.ones(3),
        mirrored=np.zeros(3, bool),
    )


def _samples(n: int = 4) -> list[Sample]:
    rng = np.random.default_rng(0)
    return [_sample(rng, i) for i in range(n)]


def _perfect_maps(
    sample: Sample, spec: ModelSpec, database: ShapeDB, turn: float = 0.0, tilt: float = 0.0
) -> OutputMaps:
    """What a perfect network says; optionally with turned boxes or a tilted gravity."""
    boxes = replace(sample.boxes, rotation=sample.boxes.rotation @ rotation_about_y(turn))
    pixels = sample.camera.project(boxes.translation)[:, :2]
    column, row = np.floor(pixels / spec.stride).astype(int).T
    raw = encode_pose(boxes, np.stack([row, column], axis=1).astype(float), sample.camera, spec)
    size = spec.map_size
    maps = {name: np.zeros((size, size, c), np.float32) for name, c in spec.outputs.items()}
    maps["heatmap"][row, column, sample.class_id] = 0.9
    maps["rotation"][row, column] = raw.rotation
    maps["translation"][row, column] = raw.translation
    maps["scale"][row, column] = raw.scale
    lean = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    maps["gravity"][:] = lean @ sample.camera.up_camera - np.array([0, -1.0, 0])
    maps["exemplar"][row, column, database.exemplar_id[sample.model_index]] = 5.0
    return {name: OutputMap(values) for name, values in maps.items()}


class _Oracle:
    """A predictor that knows its samples by the first pixel."""

    def __init__(
        self, samples: list[Sample], spec: ModelSpec, database: ShapeDB, **wrong: float
    ) -> None:
        self.maps = [_perfect_maps(sample, spec, database, **wrong) for sample in samples]
        self.calls = 0

    def __call__(self, image: ByteArray) -> OutputMaps:
        self.calls += 1
        return self.maps[int(image[0, 0, 0])]


@pytest.mark.parametrize("pose", list(PoseEncoding))
def test_perfect_maps_score_one_everywhere(pose: PoseEncoding) -> None:
    database, samples = _shapedb(), _samples()
    spec = _spec(database, pose)
    reports = evaluate_both(_Oracle(samples, spec, database), spec, samples, database)
    for report in (reports.known, reports.estimated):
        assert report.map25 == report.map50 == pytest.approx(1.0)
        assert (report.at50.precision, report.at50.recall) == (1.0, 1.0)
        assert (report.images, report.objects, report.errors.pairs) == (4, (4, 4, 4), 12)
        assert report.errors.rotation_deg < 1e-2
        assert report.errors.translation < 1e-4
        assert report.errors.scale < 1e-4
        assert report.errors.center_px < 1e-2
        assert report.errors.exemplar_accuracy == 1.0
        # Cells on a shape's surface count for half of the samples, so not exactly 1.
        assert report.errors.shape_iou > 0.98
        assert report.collisions == 0
        assert report.gravity_deg < 1e-2


class _SdfSolids:
    """Solids of the exemplars' own distances; here every model is its own exemplar."""

    def __init__(self, database: ShapeDB) -> None:
        self.solids = [Solid.of(sdf < 0) for sdf in database.sdf]

    def of_model(self, model_index: int) -> Solid:
        return self.solids[model_index]

    def of_exemplar(self, exemplar_id: int) -> Solid:
        return self.solids[exemplar_id]


def test_voxels_are_counted_on_request_and_change_nothing_else() -> None:
    database, samples = _shapedb(), _samples(3)
    spec, meter = _spec(database), VoxelMeter(database, _SdfSolids(database), 48)
    oracle = _Oracle(samples, spec, database, tilt=np.radians(10))
    reports = evaluate_both(oracle, spec, samples, database, voxels=meter)
    plain = evaluate_both(oracle, spec, samples, database)
    assert plain.known.voxels is plain.estimated.voxels is None
    assert replace(reports.known, voxels=None) == plain.known
    assert reports.known.voxels is not None
    assert reports.estimated.voxels is not None
    assert reports.known.voxels.absolute.mean > 0.97
    assert reports.known.voxels.relative.mean > 0.97
    # Wrong gravity moves every box; alignment moves them back.
    assert reports.estimated.voxels.absolute.mean < 0.8
    assert reports.estimated.voxels.aligned.mean > 0.97
    assert reports.estimated.voxels.oracle == reports.known.voxels.oracle
    stored = json.loads(reports.known.to_json())["voxels"]
    assert stored["absolute"]["mean"] == reports.known.voxels.absolute.mean
    assert len(stored["oracle"]["by_class"]) == len(CLASSES)
    assert "| voxel IoU, 48^3 | bottle | chair | table | mean |" in reports.known.to_markdown()
    assert "in canonical pose 100.0 % (nearest: 100.0 %)" in reports.known.to_markdown()


def test_the_chosen_exemplar_s_place_is_reported() -> None:
    database, samples = _shapedb(), _samples(4)
    spec = _spec(database)
    assert evaluate(
        _Oracle(samples, spec, database), spec, samples, database
    ).errors.exemplar_rank == pytest.approx(1.0)
    # The network chooses by the labels of one database, another says that the others are nearer.
    swapped = np.array([1, 0, 3, 2, 5, 4])
    wrong = replace(database, exemplar_id=swapped, soft_labels=database.soft_labels[:, ::-1])
    oracle = _Oracle(samples, spec, database)
    report = evaluate(oracle, _spec(wrong), samples, wrong)
    assert (report.errors.exemplar_rank, report.errors.exemplar_accuracy) == (2.0, 0.0)


def test_peaks_below_the_operating_threshold_count_for_average_precision_alone() -> None:
    database, samples = _shapedb(), _samples(2)
    spec = replace(_spec(database), score_threshold=0.95)
    oracle = _Oracle(samples, spec, database)
    report = evaluate(oracle, spec, samples, database)
    assert report.map50 == pytest.approx(1.0)
    assert (report.at50.recall, report.errors.pairs) == (0.0, 0)
    high = evaluate(oracle, _spec(database), samples, database, threshold=0.95)
    assert (high.map50, high.errors.pairs) == (0.0, 6)


ONE = np.array([1])


def _heatmap(maps: OutputMaps) -> FloatArray:
    heatmap = maps["heatmap"]
    assert isinstance(heatmap, OutputMap)
    assert heatmap.values.dtype == np.float32
    return np.asarray(heatmap.values, np.float32)


def test_a_second_reading_of_an_object_counts_for_average_precision_alone() -> None:
    database, samples = _shapedb(), _samples()
    spec = _spec(database)
    oracle = _Oracle(samples, spec, database)
    heatmaps = [_heatmap(maps) for maps in oracle.maps]
    for heatmap in heatmaps:
        heatmap += 0.6 * (np.roll(heatmap, 1, axis=2) > 0)
    report = evaluate(oracle, spec, samples, database)
    assert (report.at50.precision, report.at50.recall, report.errors.pairs) == (1.0, 1.0, 12)
    assert report.collisions == 0
    for heatmap in heatmaps:
        heatmap[heatmap > 0.8] = 0.5
    wrong = evaluate(oracle, spec, samples, database)
    assert (wrong.at50.recall, wrong.errors.pairs) == (0.0, 0)
    assert wrong.map50 == pytest.approx(0.5)


def test_collisions_with_what_is_not_there_are_told_apart() -> None:
    database, samples = _shapedb(), _samples()
    spec = _spec(database)
    wide = [replace(s, boxes=replace(s.boxes, scale=s.boxes.scale * [2, 1, 2])) for s in samples]
    oracle = _Oracle(wide, spec, database)
    report = evaluate(oracle, spec, samples, database)
    assert report.collisions == report.real_collisions > 3
    alone = [
        replace(
            sample,
            boxes=sample.boxes[ONE],
            class_id=sample.class_id[ONE],
            model_index=sample.model_index[ONE],
            visible_fraction=np.ones(1),
            mirrored=np.zeros(1, bool),
        )
        for sample in samples
    ]
    invented = evaluate(oracle, spec, alone, database)
    assert (invented.collisions, invented.real_collisions) == (report.collisions, 0)
    assert f"- {report.collisions} collisions (0 between" in invented.to_markdown()


def test_random_maps_score_near_zero() -> None:
    database, samples = _shapedb(), _samples()
    spec = _spec(database)
    rng = np.random.default_rng(1)

    def predict(image: ByteArray) -> OutputMaps:
        maps: dict[str, FloatArray] = {
            name: rng.normal(size=(64, 64, c)) for name, c in spec.outputs.items()
        }
        maps["heatmap"] = rng.uniform(size=maps["heatmap"].shape)
        return {name: OutputMap(values) for name, values in maps.items()}

    report = evaluate(predict, spec, samples, database)
    assert report.map25 < 0.02
    assert report.at25.precision < 0.05


def test_wrong_gravity_hurts_only_where_it_is_used() -> None:
    database, samples = _shapedb(), _samples()
    spec = _spec(database)
    oracle = _Oracle(samples, spec, database, tilt=np.radians(20))
    reports = evaluate_both(oracle, spec, samples, database)
    assert reports.known.map50 == pytest.approx(1.0)
    assert reports.estimated.map50 < 0.5
    assert reports.known.gravity_deg == pytest.approx(20, abs=0.1)
    assert reports.known.known_gravity
    assert not reports.estimated.known_gravity
    assert oracle.calls == len(samples)
    assert evaluate(oracle, spec, samples, database, known_gravity=False) == reports.estimated


def test_a_quarter_turn_is_charged_to_the_class_that_shows_it() -> None:
    database, samples = _shapedb(), _samples(6)
    spec = _spec(database)
    turned = evaluate(_Oracle(samples, spec, database, turn=np.pi / 2), spec, samples, database)
    bottle, _, table = turned.ap50
    assert bottle == table == pytest.approx(1.0)
    score = score_sample(
        _perfect_maps(samples[0], spec, database, turn=np.pi / 2),
        spec, samples[0], database, 0.01, True,
    )  # fmt: skip
    errors = np.sort(score.detections.errors.rotation_deg)
    np.testing.assert_allclose(errors, [0, 0, 90], atol=1e-2)


def test_no_detection_gives_nan_and_zero_recall() -> None:
    database, samples = _shapedb(), _samples(2)
    spec = _spec(database)
    silent = {n: OutputMap(np.zeros((64, 64, c), np.float32)) for n, c in spec.outputs.items()}
    report = evaluate(lambda image: silent, spec, samples, database)
    assert report.map25 == 0.0
    assert report.at25.recall == 0.0
    assert np.isnan(report.at25.precision)
    assert np.isnan(report.errors.rotation_deg)
    assert json.loads(report.to_json())["errors"]["rotation_deg"] is None


def test_a_class_without_objects_is_left_out_of_the_mean() -> None:
    database, sample = _shapedb(), _samples(1)[0]
    spec = _spec(database)
    keep = sample.class_id != 2
    without = replace(
        sample,
        boxes=sample.boxes[keep],
        class_id=sample.class_id[keep],
        model_index=sample.model_index[keep],
        visible_fraction=sample.visible_fraction[keep],
        mirrored=sample.mirrored[keep],
    )
    report = evaluate(_Oracle([without], spec, database), spec, [without], database)
    assert report.map50 == pytest.approx(1.0)
    assert np.isnan(report.ap50[2])
    assert json.loads(report.to_json())["ap50"] == [1.0, 1.0, None]
    assert "| table | 0 | - | - |" in report.to_markdown()
    assert "| **mean** | 2 | 100.0 % | 100.0 % |" in report.to_markdown()


def test_an_image_without_objects_still_costs_precision() -> None:
    database, samples = _shapedb(), _samples(2)
    spec = _spec(database)
    oracle = _Oracle(samples, spec, database)
    none = np.zeros(0, int)
    empty = replace(
        samples[1], boxes=samples[1].boxes[:0], class_id=none, model_index=none,
        visible_fraction=np.zeros(0), mirrored=np.zeros(0, bool),
    )  # fmt: skip
    report = evaluate(oracle, spec, [samples[0], empty], database)
    assert report.at25.precision == pytest.approx(0.5)
    assert report.at25.recall == 1.0


def test_no_sample_and_a_foreign_database_are_refused() -> None:
    database, samples = _shapedb(), _samples(1)
    spec = _spec(database)
    oracle = _Oracle(samples, spec, database)
    with pytest.raises(InputError, match="there is no sample"):
        evaluate(oracle, spec, [], database)
    with pytest.raises(InputError, match="made for shape database 00000000"):
        evaluate(oracle, replace(spec, shapedb_digest="0" * 64), samples, database)


class _Constant(nn.Module):
    """Gives the mean of the normalised image in every cell of every map."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, batch: torch.Tensor) -> dict[str, torch.Tensor]:
        value = batch.mean(dim=(1, 2, 3))[:, None, None, None]
        size = self.spec.map_size
        return {n: value.expand(-1, c, size, size) for n, c in self.spec.outputs.items()}


def test_torch_predictor_normalises_and_takes_the_sigmoid_of_the_heatmap() -> None:
    spec = replace(_spec(_shapedb()), mean=(10.0, 10.0, 10.0), std=(5.0, 5.0, 5.0))
    maps = torch_predictor(_Constant(spec), spec)(np.full((256, 256, 3), 20, np.uint8))
    assert list(maps) == list(spec.outputs)
    assert {n: m.shape for n, m in maps.items()} == {
        n: (64, 64, c) for n, c in spec.outputs.items()
    }
    np.testing.assert_allclose(maps["scale"].real(), 2.0, rtol=1e-6)
    np.testing.assert_allclose(maps["heatmap"].real(), 1 / (1 + np.exp(-2.0)), rtol=1e-6)


def test_only_what_is_shown_votes_for_gravity() -> None:
    """Peaks below the operating threshold, which average precision looks at, lean by 90 degrees."""
    database, samples = _shapedb(), _samples(1)
    spec = _spec(database)
    maps = _perfect_maps(samples[0], spec, database)
    heatmap, gravity = maps["heatmap"], maps["gravity"]
    assert isinstance(heatmap, OutputMap)
    assert isinstance(gravity, OutputMap)
    for row, column in ((3, 3), (60, 60), (3, 60)):
        np.asarray(heatmap.values)[row, column] = 0.3
        np.asarray(gravity.values)[row, column] = [1.0, 1.0, 0.0]
    score = score_sample(maps, spec, samples[0], database, threshold=0.1, known_gravity=False)
    assert len(score.overlaps.score) > len(score.shown.score) == 3
    assert score.gravity_deg == pytest.approx(0, abs=1e-3)
