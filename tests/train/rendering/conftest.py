"""A shape database of simple solids, and one renderer for all tests of a run."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from p2o_shapedb.database import CanonicalMesh, ModelEntry, ShapeDB, mesh_path
from p2o_train.rendering.catalog import Catalog
from p2o_train.rendering.compose import Stock
from p2o_train.rendering.environment import load_environments
from p2o_train.rendering.meshes import primitive
from p2o_train.rendering.renderer import Renderer, RendererConfig
from p2o_train.rendering.textures import load_textures
from points2objects.geometry import FloatArray, IntArray

CLASSES = ("chair", "mug")


def seat() -> tuple[FloatArray, IntArray]:
    """Return an L of two boxes in the canonical cube, its back at +z: mirror symmetric in x."""
    box = primitive("box")
    low = box.positions * [1, 0.5, 1] - [0, 0.25, 0]
    back = box.positions * [1, 1, 0.2] + [0, 0, 0.4]
    return np.concatenate([low, back]), np.concatenate([box.faces, box.faces + len(low)])


def can() -> tuple[FloatArray, IntArray]:
    """Return a cylinder with a box for a handle, mirror symmetric in z."""
    body, handle = primitive("cylinder"), primitive("box")
    vertices = np.concatenate(
        [
            body.positions * [0.8, 1, 1] - [0.1, 0, 0],
            handle.positions * [0.2, 0.5, 0.1] + [0.4, 0, 0],
        ]
    )
    return vertices, np.concatenate([body.faces, handle.faces + len(body.positions)])


def write_database(folder: Path, classes: tuple[str, str] = CLASSES) -> ShapeDB:
    """Save a database of two classes, three models each; the last of each is for validation."""
    box = primitive("box")
    shapes = {
        "chair": (seat(), (0.5, 0.9, 0.55), 0),
        "mug": (can(), (0.12, 0.1, 0.09), 2),
        "table": ((box.positions, box.faces), (1.2, 0.7, 0.8), 0),
    }
    models = []
    for name in classes:
        (vertices, faces), extent, axis = shapes[name]
        for i in range(3):
            entry = ModelEntry(
                id=f"{name}/solid-{i}",
                class_name=name,
                split="val" if i == 2 else "train",
                source="test",
                licence="CC0-1.0",
                attribution="",
                ship=True,
                extent_m=extent,
                symmetry=1,
                mirror_axis=axis,
            )
            models.append(entry)
            path = mesh_path(folder, entry.id)
            path.parent.mkdir(parents=True, exist_ok=True)
            colors = np.full((len(vertices), 3), 60 * i + 60, np.uint8)
            CanonicalMesh(
                vertices.astype(np.float32), faces.astype(np.int32), colors, has_color=i > 0
            ).save(path)
    n = len(models)
    ShapeDB(
        classes=classes,
        exemplars_per_class=1,
        models=tuple(models),
        sdf=np.zeros((2, 32, 32, 32), np.float32),
        points=np.zeros((n, 512, 3), np.float32),
        exemplar_id=np.array([0, 0, 0, 1, 1, 1]),
        exemplar_model=np.array([0, 3]),
        soft_labels=np.ones((n, 1), np.float32),
        soft_radius=np.ones(2, np.float32),
    ).save(folder)
    return ShapeDB.load(folder)


@pytest.fixture(scope="session")
def solids(tmp_path_factory: pytest.TempPathFactory) -> ShapeDB:
    return write_database(tmp_path_factory.mktemp("shapedb"))


@pytest.fixture(scope="session")
def tables_and_mugs(tmp_path_factory: pytest.TempPathFactory) -> ShapeDB:
    return write_database(tmp_path_factory.mktemp("shapedb"), ("mug", "table"))


@pytest.fixture(scope="session")
def stock(solids: ShapeDB) -> Stock:
    return Stock(
        Catalog(solids, "train", None, max_triangles=1000),
        load_textures(None),
        load_environments(None),
    )


@pytest.fixture(scope="session")
def renderers(stock: Stock) -> Iterator[dict[int, Renderer]]:
    """Renderers by picture size; they fail, not skip, without EGL: nothing works without it."""
    layers = stock.textures.layers
    made = {
        size: Renderer(RendererConfig(size_px=size, lights=6, light_map_px=128), layers)
        for size in (256, 512)
    }
    yield made
    for renderer in made.values():
        renderer.release()
