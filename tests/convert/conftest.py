"""A small random network with the real one's operators, converted once for all tests."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from points2objects.geometry import Box9DoF, ByteArray
from points2objects.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

    from p2o_convert.models import Models


@pytest.fixture(scope="session")
def spec() -> ModelSpec:
    """A contract whose map side equals a head's channels: a swapped axis then keeps its shape."""
    return ModelSpec("tiny", ("mug", "sofa"), 16, "ab" * 32, input_size=128)


@pytest.fixture(scope="session")
def images(spec: ModelSpec) -> ByteArray:
    """Twenty smooth pictures, (20, s, s, 3)."""
    rng = np.random.default_rng(7)
    coarse = rng.integers(0, 256, (20, 8, 8, 3))
    repeat = spec.input_size // 8
    smooth = coarse.repeat(repeat, 1).repeat(repeat, 2)
    noise = rng.normal(0, 8, smooth.shape)
    return np.clip(smooth + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def network(spec: ModelSpec) -> "nn.Module":
    """The network: uneven padding, depthwise, residual sum, bilinear growth, a head per output."""
    import torch
    from torch import Tensor, nn

    class Tiny(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 3, 2)
            self.norm = nn.BatchNorm2d(8)
            self.down = nn.Conv2d(8, 8, 3, 2, padding=1, groups=8)
            self.wide = nn.Conv2d(8, 16, 1)
            self.deep = nn.Conv2d(16, 16, 3, 2, padding=1)
            self.heads = nn.ModuleDict({n: nn.Conv2d(16, c, 1) for n, c in spec.outputs.items()})

        def forward(self, image: Tensor) -> dict[str, Tensor]:
            x = nn.functional.relu6(self.norm(self.stem(nn.functional.pad(image, (0, 1, 0, 1)))))
            fine = nn.functional.relu6(self.wide(self.down(x)))
            coarse = nn.functional.relu6(self.deep(fine))
            grown = nn.functional.interpolate(
                coarse, scale_factor=2.0, mode="bilinear", align_corners=False
            )
            features = nn.functional.relu(grown + fine)
            return {name: head(features) for name, head in self.heads.items()}

    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Tiny().eval()


@pytest.fixture(scope="session")
def converted(
    network: "nn.Module",
    spec: ModelSpec,
    images: ByteArray,
    tmp_path_factory: pytest.TempPathFactory,
) -> "Models":
    """The network as ONNX and in every TFLite format, without any cure."""
    from p2o_convert.config import FORMATS, QuantiseConfig
    from p2o_convert.models import Models, export_float32, make_formats

    folder = tmp_path_factory.mktemp("converted")
    plain = QuantiseConfig(rounding="nearest", equalise=False, heads="dense")
    float32 = export_float32(network, spec, images, plain, folder)
    formats = make_formats(tuple(FORMATS), float32.tflite, images, spec, plain)
    return Models(network, None, spec, float32.onnx, formats)


def _write_database(folder: Path, seed: int) -> str:
    """Save a database of two classes with one noisy box each; return its digest."""
    from p2o_shapedb.database import CanonicalMesh, ModelEntry, ShapeDB, mesh_path

    rng = np.random.default_rng(seed)
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) - 0.5
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = np.array([t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))], np.int32)
    classes = ("mug", "sofa")
    models = tuple(
        ModelEntry(f"{c}/box", c, "train", "made up", "CC0-1.0", "Nobody", True, (1, 1, 1), 4, 0)
        for c in classes
    )
    database = ShapeDB(
        classes=classes,
        exemplars_per_class=1,
        models=models,
        sdf=rng.normal(size=(2, 32, 32, 32)).astype(np.float32),
        points=rng.uniform(-0.5, 0.5, (2, 512, 3)).astype(np.float32),
        exemplar_id=np.arange(2),
        exemplar_model=np.arange(2),
        soft_labels=np.ones((2, 1), np.float32),
        soft_radius=np.ones(2, np.float32),
    )
    database.save(folder)
    for model in models:
        path = mesh_path(folder, model.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        grey = np.full((8, 3), 128, np.uint8)
        CanonicalMesh(corners.astype(np.float32), faces, grey, has_color=False).save(path)
    return database.digest


def _write_dataset(folder: Path, shapedb_folder: Path) -> None:
    """Save a dataset of noise: 16 training and 3 validation pictures."""
    from p2o_shapedb.database import ShapeDB
    from p2o_train.data.sample import Sample
    from p2o_train.data.shards import (
        SCHEMA_VERSION,
        describe_shard,
        shard_name,
        write_manifest,
        write_shard,
    )
    from points2objects.camera import Camera

    shapedb = ShapeDB.load(shapedb_folder)
    rng = np.random.default_rng(5)
    camera = Camera.from_fov(60.0, 256, 256).with_gravity(np.array([0.0, -1.0, -0.3]))

    def sample() -> Sample:
        image = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8).repeat(32, 0).repeat(32, 1)
        box = Box9DoF(np.eye(3)[None], np.array([[0.0, 0.2, -2.0]]), np.full((1, 3), 0.4))
        one = np.ones(1, np.int64)
        return Sample(image, camera, box, one, one, np.ones(1), np.zeros(1, bool))

    splits = {}
    for split, count in (("train", 16), ("val", 3)):
        (folder / split).mkdir(parents=True)
        path = folder / split / shard_name(0)
        write_shard(path, [sample() for _ in range(count)], shapedb)
        splits[split] = [describe_shard(path)]
    plan = {"schema": SCHEMA_VERSION, "shapedb_digest": shapedb.digest}
    write_manifest(folder, plan, splits)


@pytest.fixture(scope="session")
def write_database() -> Callable[[Path, int], str]:
    """Return a writer (folder, seed) -> digest of a small shape database."""
    return _write_database


@pytest.fixture(scope="session")
def write_dataset() -> Callable[[Path, Path], None]:
    """Return a writer (folder, database's folder) of a small dataset, 256 px."""
    return _write_dataset
