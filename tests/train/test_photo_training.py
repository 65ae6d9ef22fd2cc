"""A run learns from rendered pictures and photographs together, and goes on as it would have."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from p2o_train.batches import BatchDataset, MixedDataset, TrainingData
from p2o_train.config import TrainConfig
from p2o_train.data.photos2d import PhotoDataset
from p2o_train.engine import make_spec, train
from points2objects.errors import InputError


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write five photographs of noise with a chair in each, and none with a table."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    entries = []
    for index in range(5):
        pixels = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
        chair = {
            "class": "chair",
            "box_xyxy_px": [20, 10, 60, 50],
            "origin": "ground truth",
            "score": 1.0,
            "ignore": False,
        }
        entry = {
            "file": f"{index}.png",
            "width": 80,
            "height": 60,
            "source": "test",
            "licence": "CC0-1.0",
            "exhaustive": ["chair", "table"],
            "objects": [chair],
            "split": "train",
        }
        entries.append(entry)
    labels = {"schema": 1, "classes": ["chair", "table"], "photos": entries}
    (folder / "labels.json").write_text(json.dumps(labels))
    return folder


@pytest.fixture
def both(noise_data: TrainingData, photos: Path) -> TrainingData:
    return replace(noise_data, photos=PhotoDataset(photos, noise_data.shapedb.classes, "train"))


def make(config_for: Callable[..., TrainConfig], folder: Path, photos: Path) -> TrainConfig:
    return config_for(folder, 2, photos=photos, photo_batch=2, gravity="pooled")


def test_photographs_have_their_part_in_what_is_learned(
    tmp_path: Path, both: TrainingData, photos: Path, config_for: Callable[..., TrainConfig]
) -> None:
    config = make(config_for, tmp_path, photos)
    train(config, both)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    step = next(line for line in lines if line.get("step") == 1)
    assert step["photo_key"] > 0
    assert step["photo_box"] > 0
    parts = sum(
        getattr(config.loss, name) * step[name]
        for name in step
        if hasattr(config.loss, name) and isinstance(step[name], float)
    )
    assert step["total"] == pytest.approx(parts, rel=1e-4)


def test_photographs_are_a_function_of_seed_and_step_and_each_comes_once_an_epoch(
    tmp_path: Path, both: TrainingData, photos: Path, config_for: Callable[..., TrainConfig]
) -> None:
    config = make(config_for, tmp_path, photos)
    dataset = MixedDataset(BatchDataset(both, make_spec(config, both), config))
    first, again = dataset[1].photos, dataset[1].photos
    assert first is not None
    assert again is not None
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.rectangle, again.rectangle)
    other = dataset[0].photos
    assert other is not None
    assert not torch.equal(first.images, other.images)


def test_photographs_need_the_pictures_own_gravity(photos: Path) -> None:
    with pytest.raises(InputError, match="--photos needs --gravity pooled"):
        TrainConfig(photos=photos)
