"""Synthetic training data: noise for pictures, made without files or rendering."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from p2o_shapedb.database import ModelEntry, ShapeDB
from p2o_train.batches import Augment, TrainingData
from p2o_train.config import LossConfig, NetworkConfig, TrainConfig
from p2o_train.data.sample import Sample
from points2objects.camera import Camera
from points2objects.geometry import Box9DoF, rotation_about_y

SYMMETRIES = (1, 2, 4, 0)


def ball_database(exemplars_per_class: int = 2) -> ShapeDB:
    """Return two classes of ellipsoids, k models each, every one an exemplar."""
    rng = np.random.default_rng(0)
    classes, k = ("chair", "table"), exemplars_per_class
    n = len(classes) * k
    steps = (np.arange(32) + 0.5) / 32 - 0.5
    x, y, z = np.meshgrid(steps, steps, steps, indexing="ij")
    radius = np.linspace(0.3, 0.5, n)
    sdf = np.sqrt(x**2 + y**2 + z**2)[None] - radius[:, None, None, None]
    points = rng.normal(size=(n, 512, 3))
    points *= radius[:, None, None] / np.linalg.norm(points, axis=-1, keepdims=True)
    models = tuple(
        ModelEntry(
            id=f"{classes[i // k]}/ball-{i}",
            class_name=classes[i // k],
            split="train",
            source="test",
            licence="CC0-1.0",
            attribution="",
            ship=True,
            extent_m=(0.5, 0.5, 0.5),
            symmetry=SYMMETRIES[i % len(SYMMETRIES)],
            mirror_axis=0,
        )
        for i in range(n)
    )
    similarity = np.maximum(0, 1 - 3 * np.abs(radius[:, None] - radius[None]))
    return ShapeDB(
        classes=classes,
        exemplars_per_class=k,
        models=models,
        sdf=sdf.astype(np.float32),
        points=points.astype(np.float32),
        exemplar_id=np.arange(n),
        exemplar_model=np.arange(n),
        soft_labels=np.stack([similarity[i, i // k * k : i // k * k + k] for i in range(n)]),
        soft_radius=np.ones(len(classes)),
    )


def noise_sample(shapedb: ShapeDB, seed: int, objects: int = 2) -> Sample:
    """Return a picture of noise with objects at random places in front of the camera."""
    rng = np.random.default_rng(seed)
    pitch, roll = rng.uniform(0.1, 0.5), rng.uniform(-0.1, 0.1)
    up = np.array([np.sin(roll) * np.cos(pitch), -np.cos(roll) * np.cos(pitch), -np.sin(pitch)])
    camera = Camera.from_fov(60.0, 256, 256).with_gravity(up)
    image = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    image = image.repeat(32, 0).repeat(32, 1)
    model = rng.integers(0, len(shapedb.models), objects)
    side = (rng.permutation(3)[:objects] - 1) * 0.6
    scale = rng.uniform(0.2, 0.5, (objects, 3))
    scale[:, 2] = scale[:, 0]
    centers = np.stack([side, scale[:, 1] / 2, rng.uniform(-2.5, -1.8, objects)], axis=1)
    return Sample(
        image=image,
        camera=camera,
        boxes=Box9DoF(rotation_about_y(rng.uniform(-3, 3, objects)), centers, scale),
        class_id=np.array([shapedb.class_id(i) for i in model]),
        model_index=model,
        visible_fraction=np.ones(objects),
        mirrored=np.zeros(objects, dtype=bool),
    )


class StopAfter:
    """An augmentation that interrupts the run after some calls of another."""

    def __init__(self, calls: int, augment: Augment | None = None) -> None:
        self.calls = calls
        self.augment = augment

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        self.calls -= 1
        if self.calls < 0:
            raise KeyboardInterrupt
        return self.augment(sample, rng) if self.augment else sample


@pytest.fixture
def stop_after() -> Callable[..., Augment]:
    """Return what makes an augmentation that interrupts: (calls, another augmentation)."""
    return StopAfter


@pytest.fixture(scope="session")
def config_for(tiny_network: NetworkConfig) -> Callable[..., TrainConfig]:
    """Return what makes the options of a short run: (folder, steps, other options by name)."""
    short = TrainConfig(
        batch=2,
        workers=0,
        threads=1,
        device="cpu",
        input_size=128,
        validate_every=2,
        pictures=0,
        save_minutes=0.0,
        network=tiny_network,
        loss=LossConfig(point_count=16),
    )

    def make(folder: Path, steps: int = 4, **changes: Any) -> TrainConfig:
        return replace(short, out=folder, steps=steps, **changes)

    return make


def uneven_noise() -> TrainingData:
    """Return eight samples with one to three objects each, for training and for validation."""
    shapedb = ball_database()
    samples = [noise_sample(shapedb, seed, objects=1 + seed % 3) for seed in range(8)]
    return TrainingData(samples, samples, shapedb)


@pytest.fixture(scope="session")
def uneven_data() -> TrainingData:
    """Eight samples that serve for training and for validation."""
    return uneven_noise()


@pytest.fixture(scope="session")
def noise_data() -> TrainingData:
    """Four samples that serve for training and for validation."""
    shapedb = ball_database()
    samples = [noise_sample(shapedb, seed) for seed in range(4)]
    return TrainingData(samples, samples, shapedb)
