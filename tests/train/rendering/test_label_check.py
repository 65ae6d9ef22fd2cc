"""Labels of rendered pictures are proved by their masks, and wrong ones are found."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from p2o_shapedb.database import ShapeDB
from p2o_train.data.label_check import (
    FARTHEST_CENTER,
    LEAST_COVERED,
    Proof,
    meets_box,
    pixel_rays,
    prove,
    silhouette,
)
from p2o_train.data.making import MakeConfig, make_dataset
from p2o_train.data.pixel_maps import MASK_SUFFIX, PixelMaps, mask_png
from p2o_train.data.rendered import RenderedDataset
from p2o_train.data.sample import Sample
from p2o_train.data.shards import describe_shard, read_json, write_manifest, write_shard
from p2o_train.rendering.meshes import primitive
from points2objects.camera import Camera
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF, rotation_about_y

SCRIPT = Path(__file__).parents[3] / "train" / "check_labels.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, solids: ShapeDB) -> Path:
    """A real dataset with masks and depth, vessels on tables aside."""
    assert solids.folder is not None
    out = tmp_path_factory.mktemp("checked") / "set"
    make_dataset(
        MakeConfig(
            shapedb=solids.folder, out=out, train=5, val=3, quality="fast", workers=1,
            masks=True, depth=True,
        )
    )  # fmt: skip
    return out


@pytest.fixture(scope="module")
def dataset(folder: Path, solids: ShapeDB) -> RenderedDataset:
    return RenderedDataset(folder, "train", solids)


def proofs(dataset: RenderedDataset, change: Callable[[Sample], Sample]) -> list[Proof]:
    return [
        proof
        for i in range(len(dataset))
        for proof in prove(change(dataset[i]), dataset.masks(i), dataset.shapedb)
    ]


def test_rendered_labels_are_proved(dataset: RenderedDataset) -> None:
    found = proofs(dataset, lambda sample: sample)
    assert len(found) >= 5
    assert all(proof.faults == () for proof in found)
    assert min(proof.covered for proof in found) == 1.0
    assert min(proof.matched for proof in found) > 0.999
    assert min(proof.filled for proof in found if proof.whole) > 0.98


def shifted(sample: Sample) -> Sample:
    aside = 0.3 * sample.boxes.scale[:, :1] * sample.camera.pose[:3, 0]
    return replace(
        sample, boxes=replace(sample.boxes, translation=sample.boxes.translation + aside)
    )


def turned(sample: Sample) -> Sample:
    turn = rotation_about_y(0.9)
    return replace(sample, boxes=replace(sample.boxes, rotation=sample.boxes.rotation @ turn))


def shrunk(sample: Sample) -> Sample:
    return replace(sample, boxes=replace(sample.boxes, scale=0.85 * sample.boxes.scale))


@pytest.mark.parametrize("change", [shifted, turned, shrunk])
def test_wrong_boxes_are_found(
    dataset: RenderedDataset, change: Callable[[Sample], Sample]
) -> None:
    # What hides an object may hide a fault of its label too.
    found = [p for p in proofs(dataset, change) if p.whole and p.area_px >= 100]
    assert len(found) >= 3
    assert all(proof.faults for proof in found)
    assert min(proof.covered for proof in found) < LEAST_COVERED


def test_a_box_far_too_large_is_found_by_what_the_mask_leaves_open(
    dataset: RenderedDataset,
) -> None:
    def lengthened(sample: Sample) -> Sample:
        boxes, grown = sample.boxes, np.array([1, 3.0, 1])
        moved = boxes.translation + np.array([0, 1.0, 0]) * boxes.scale
        return replace(sample, boxes=Box9DoF(boxes.rotation, moved, boxes.scale * grown))

    found = [proof for proof in proofs(dataset, lengthened) if proof.whole]
    assert len(found) >= 3
    assert all(proof.covered == 1.0 and proof.faults for proof in found)
    assert max(proof.filled for proof in found) < 0.9
    assert max(proof.off_center for proof in found) > FARTHEST_CENTER


def test_a_model_turned_about_is_found_where_its_box_stays(dataset: RenderedDataset) -> None:
    def reversed_(sample: Sample) -> Sample:
        turn = rotation_about_y(np.pi)
        return replace(sample, boxes=replace(sample.boxes, rotation=sample.boxes.rotation @ turn))

    found = [proof for proof in proofs(dataset, reversed_) if proof.area_px >= 100]
    assert all(proof.covered == 1.0 for proof in found)
    assert min(proof.matched for proof in found) < 0.97


def test_an_object_without_a_pixel_is_a_fault(dataset: RenderedDataset) -> None:
    sample = dataset[0]
    empty = np.full(sample.image.shape[:2], -1)
    assert [proof.faults for proof in prove(sample, empty, dataset.shapedb)] == [
        ("its mask is empty",)
    ] * len(sample)


def test_depths_are_those_of_the_boxes(dataset: RenderedDataset) -> None:
    for i in range(len(dataset)):
        sample, owner, depth = dataset[i], dataset.masks(i), dataset.depth(i)
        points = pixel_rays(sample.camera) * depth[..., None] + sample.camera.pose[:3, 3]
        for number in range(len(sample)):
            box = sample.boxes[number]
            inside = (points[owner == number] - box.translation) @ box.rotation / box.scale
            assert np.abs(inside).max() < 0.5 + 0.002 / box.scale.min()
        assert (depth[owner >= 0] > 0).all()


def test_a_ray_meets_a_box_where_its_picture_is() -> None:
    camera = Camera.from_fov(60, 64, 64).with_gravity(np.array([0.1, -0.9, -0.4]))
    box = Box9DoF(rotation_about_y(0.6), np.array([0.1, 0.2, -2.2]), np.array([0.8, 0.4, 0.5]))
    met = meets_box(pixel_rays(camera), camera.pose[:3, 3], box)
    cube = primitive("box")
    drawn = silhouette(cube.positions, cube.faces, box, camera)
    inner = drawn & np.roll(drawn, 1, 0) & np.roll(drawn, -1, 0)
    inner &= np.roll(drawn, 1, 1) & np.roll(drawn, -1, 1)
    assert 200 < inner.sum() <= met.sum() <= drawn.sum()
    assert not (met & ~drawn).any()
    assert not (inner & ~met).any()
    behind = replace(box, translation=np.array([0.1, 0.2, 4.0]))
    assert not meets_box(pixel_rays(camera), camera.pose[:3, 3], behind).any()


def run(*words: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, words)], capture_output=True, text=True, check=False
    )


def test_the_command_says_what_is_wrong_and_exits_1(
    folder: Path, solids: ShapeDB, tmp_path: Path
) -> None:
    sheet = tmp_path / "sheet.png"
    words = ("--shapedb", solids.folder, "--out", sheet, "--sheet-samples", 4)
    done = run(folder, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].startswith("proved ")
    assert sheet.stat().st_size > 10_000
    broken = tmp_path / "broken"
    dataset = RenderedDataset(folder, "train", solids)
    for split in ("train", "val"):
        (broken / split).mkdir(parents=True)
    shard = broken / "train" / "shard-00000.zip"
    masks = [{MASK_SUFFIX: mask_png(PixelMaps(dataset.masks(i), dataset.depth(i)))}
             for i in range(2)]  # fmt: skip
    write_shard(shard, [dataset[0], shifted(dataset[1])], solids, masks)
    plan = {name: read_json(folder / "plan.json")[name] for name in ("schema", "shapedb_digest")}
    write_manifest(broken, plan, {"train": [describe_shard(shard)], "val": []})
    done = run(broken, *words, "--overwrite")
    assert done.returncode == 1
    assert "train 1: " in done.stdout
    assert "train 0: " not in done.stdout


def test_a_dataset_without_masks_says_so(folder: Path, solids: ShapeDB, tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    plain = tmp_path / "train" / "shard-00000.zip"
    write_shard(plain, [RenderedDataset(folder, "train", solids)[0]], solids)
    plan = {"schema": 1, "shapedb_digest": solids.digest}
    write_manifest(tmp_path, plan, {"train": [describe_shard(plain)], "val": []})
    dataset = RenderedDataset(tmp_path, "train", solids)
    assert not dataset.has_masks
    with pytest.raises(InputError, match=r"holds no 000000\.mask\.png; make .* with --masks"):
        dataset.masks(0)
    with pytest.raises(InputError, match="with --depth"):
        dataset.depth(0)
