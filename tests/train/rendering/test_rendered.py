import io
import json
import multiprocessing
import tracemalloc
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from p2o_shapedb.database import ShapeDB
from p2o_train.data.rendered import RenderedDataset
from p2o_train.data.sample import Sample
from p2o_train.data.shards import _jpeg, describe_shard, to_label, write_manifest, write_shard
from points2objects.camera import Camera
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF, rotation_about_y


def smooth_sample(seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 4))
    ramp = np.linspace(rng.uniform(0, 100), 200, 64)
    image = np.repeat(np.repeat(ramp[None, :, None], 64, 0), 3, -1).astype(np.uint8)
    models = rng.integers(6, size=n)
    return Sample(
        image=image,
        camera=Camera.from_fov(60, 64, 64).with_gravity(np.array([0.1, -0.9, -0.4])),
        boxes=Box9DoF(
            rotation_about_y(rng.uniform(-3, 3, n)), rng.normal(size=(n, 3)),
            rng.uniform(0.2, 0.5, (n, 3)),
        ),
        class_id=models // 3,
        model_index=models,
        visible_fraction=np.round(rng.uniform(0.2, 1, n), 4),
        mirrored=np.zeros(n, bool),
    )  # fmt: skip


SAMPLES = [smooth_sample(seed) for seed in range(5)]


@pytest.fixture
def folder(tmp_path: Path, solids: ShapeDB) -> Path:
    (tmp_path / "train").mkdir()
    for number, samples in enumerate((SAMPLES[:3], SAMPLES[3:])):
        write_shard(tmp_path / "train" / f"shard-{number:05d}.zip", samples, solids)
    shards = [describe_shard(path) for path in sorted((tmp_path / "train").iterdir())]
    plan = {"schema": 1, "shapedb_digest": solids.digest}
    write_manifest(tmp_path, plan, {"train": shards, "val": []})
    return tmp_path


def test_samples_come_back_as_they_were(folder: Path, solids: ShapeDB) -> None:
    dataset = RenderedDataset(folder, "train", solids)
    assert len(dataset) == 5
    for i in (4, 0, 2, 3, 1):
        read, want = dataset[i], SAMPLES[i]
        np.testing.assert_array_equal(read.model_index, want.model_index)
        np.testing.assert_array_equal(read.class_id, want.class_id)
        np.testing.assert_array_equal(read.boxes.rotation, want.boxes.rotation)
        np.testing.assert_array_equal(read.boxes.translation, want.boxes.translation)
        np.testing.assert_array_equal(read.visible_fraction, want.visible_fraction)
        np.testing.assert_allclose(read.camera.pose, want.camera.pose, atol=1e-15)
        assert np.abs(read.image.astype(int) - want.image).max() < 6


def test_indices_outside_are_refused(folder: Path, solids: ShapeDB) -> None:
    dataset = RenderedDataset(folder, "train", solids)
    for index in (5, -1):
        with pytest.raises(IndexError):
            dataset[index]


def read_all(dataset: RenderedDataset) -> list[int]:
    return [int(dataset[i].image.sum()) for i in range(len(dataset))]


def test_a_dataset_works_in_other_processes_even_once_read(folder: Path, solids: ShapeDB) -> None:
    dataset = RenderedDataset(folder, "train", solids)
    here = read_all(dataset)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_sums, (str(folder), str(solids.folder))) == here


def _sums(folder: str, database: str) -> list[int]:
    return read_all(RenderedDataset(Path(folder), "train", ShapeDB.load(database)))


def test_another_database_is_refused(folder: Path, solids: ShapeDB) -> None:
    other = replace(solids, soft_radius=np.full(2, 9.0, np.float32))
    with pytest.raises(InputError, match=r"rendered with shape database .* run train/make_dataset"):
        RenderedDataset(folder, "train", other)


def test_broken_folders_are_named(folder: Path, tmp_path: Path, solids: ShapeDB) -> None:
    with pytest.raises(InputError, match="no split 'test', only train, val"):
        RenderedDataset(folder, "test", solids)
    (folder / "train" / "shard-00001.zip").unlink()
    with pytest.raises(InputError, match=r"shard-00001\.zip is missing"):
        RenderedDataset(folder, "train", solids)
    with pytest.raises(InputError, match="is no dataset"):
        RenderedDataset(tmp_path / "nowhere", "train", solids)
    (folder / "dataset.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(InputError, match="reads schema 1, got 99"):
        RenderedDataset(folder, "train", solids)


def test_a_truncated_shard_is_refused(folder: Path, solids: ShapeDB) -> None:
    shard = folder / "train" / "shard-00001.zip"
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(
        InputError, match=r"shard-00001\.zip: dataset\.json expects SHA-256 .*repeat"
    ):
        RenderedDataset(folder, "train", solids)
    RenderedDataset(folder, "val", solids)


def test_swapped_shards_are_refused(folder: Path, solids: ShapeDB) -> None:
    first, second = (folder / "train" / f"shard-{number:05d}.zip" for number in (0, 1))
    first_bytes, second_bytes = first.read_bytes(), second.read_bytes()
    first.write_bytes(second_bytes)
    second.write_bytes(first_bytes)
    with pytest.raises(InputError, match=r"shard-00000\.zip: dataset\.json expects SHA-256"):
        RenderedDataset(folder, "train", solids)


@pytest.mark.parametrize("keep", [0, -100])
def test_a_shard_that_breaks_after_opening_is_named(
    folder: Path, solids: ShapeDB, keep: int
) -> None:
    dataset = RenderedDataset(folder, "train", solids)
    shard = folder / "train" / "shard-00001.zip"
    shard.write_bytes(shard.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"shard-00001\.zip: sample 1 cannot be read .*repeat"):
        dataset[4]
    shard.unlink()
    with pytest.raises(InputError, match=r"shard-00001\.zip: sample 0 cannot be read"):
        dataset[3]


def test_a_sample_missing_in_its_shard_is_named(folder: Path, solids: ShapeDB) -> None:
    dataset = RenderedDataset(folder, "train", solids)
    write_shard(folder / "train" / "shard-00001.zip", SAMPLES[3:4], solids)
    with pytest.raises(InputError, match=r"shard-00001\.zip: sample 1 cannot be read"):
        dataset[4]


def test_equal_samples_give_equal_files(tmp_path: Path, solids: ShapeDB) -> None:
    for name in ("a.zip", "b.zip"):
        write_shard(tmp_path / name, SAMPLES, solids)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def _png(side: int) -> bytes:
    """Write the header of a huge picture; nothing behind it."""
    out = io.BytesIO()
    Image.new("L", (side, 1)).save(out, "PNG")
    data = bytearray(out.getvalue())
    data[20:24] = side.to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({".json": b"[" * 200_000}, "nested too deeply"),
        ({".json": b"[]"}, "must be an object of JSON"),
        ({".json": b"{}"}, "'size'"),
        ({".json": b"\xff\xfe"}, "cannot be read"),
        ({".json": {"size": [128.0, 128]}}, "size must be a whole number"),
        ({".json": {"K": [["a"] * 3] * 3}}, "K: expected finite numbers"),
        ({".json": {"K": 5}}, "K: expected finite numbers"),
        ({".json": {"scale": [[1e999] * 3] * 9}}, "scale: expected|JSON|number"),
        ({".json": {"models": 3}}, "models must be a list"),
        ({".json": {"models": [[1]]}}, "a model must be text"),
        ({".json": {"models": ["chair/none"]}}, "holds no model"),
        ({".json": {"visible_fraction": [[1], [1, 2]]}}, "cannot be read"),
        ({".json": {"scene_cube": [1]}}, "scene_cube must be an object"),
        ({".json": b" " * (5 << 20)}, "bytes of JSON"),
        ({".json": b"0" * (40 << 20)}, "41943040 bytes; at most"),
        ({".jpg": b"no picture"}, "cannot be read"),
        ({".jpg": b""}, "cannot be read"),
        ({".jpg": _png(30_000)}, "30000x30000; at most 4096 pixels across"),
        ({".jpg": _png(12_000)}, "a picture of 12000x12000; at most 4096"),
    ],
)
def test_hostile_samples_are_refused_before_they_are_unpacked(
    folder: Path, solids: ShapeDB, changes: dict[str, object], words: str
) -> None:
    files: dict[str, bytes] = {".json": json.dumps(to_label(SAMPLES[3], solids)).encode()}
    files[".jpg"] = _jpeg(SAMPLES[3])
    for suffix, change in changes.items():
        if isinstance(change, dict):
            change = json.dumps({**to_label(SAMPLES[3], solids), **change}).encode()
        assert isinstance(change, bytes)
        files[suffix] = change
    with zipfile.ZipFile(folder / "train" / "shard-00001.zip", "w", zipfile.ZIP_DEFLATED) as shard:
        for suffix, data in files.items():
            shard.writestr(f"000000{suffix}", data)
    shards = [describe_shard(path) for path in sorted((folder / "train").iterdir())]
    write_manifest(
        folder, {"schema": 1, "shapedb_digest": solids.digest}, {"train": shards, "val": []}
    )
    dataset = RenderedDataset(folder, "train", solids)
    tracemalloc.start()
    with pytest.raises(InputError, match=words):
        dataset[3]
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 100 << 20


@pytest.mark.parametrize(
    ("shard", "words"),
    [
        ([], "a shard must be an object"),
        ({}, "'name'"),
        ({"name": "../x", "samples": 1, "sha256": ""}, "is no name of a file"),
        ({"name": "x", "samples": 1e9, "sha256": ""}, "samples must be a whole number"),
        ({"name": "x", "samples": 10**12, "sha256": ""}, "samples must be a whole number"),
        ({"name": "x", "samples": 1, "sha256": 7}, "sha256 must be text"),
    ],
)
def test_hostile_manifests_are_refused(
    folder: Path, solids: ShapeDB, shard: object, words: str
) -> None:
    manifest = json.loads((folder / "dataset.json").read_text())
    manifest["splits"]["train"] = [shard]
    (folder / "dataset.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=words):
        RenderedDataset(folder, "train", solids)
    manifest["splits"] = 5
    (folder / "dataset.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="lacks splits"):
        RenderedDataset(folder, "train", solids)
