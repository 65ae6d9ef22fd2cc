"""A tiny network learns pictures by heart: every head, through the runtime's decoder."""

from dataclasses import replace
from pathlib import Path

import pytest

from p2o_train.batches import TrainingData
from p2o_train.config import NetworkConfig, OptimConfig, TrainConfig
from p2o_train.engine import train

TINY = TrainConfig(
    workers=0,
    threads=1,
    device="cpu",
    validate_every=1_000,
    pictures=0,
    network=NetworkConfig(
        backbone="hourglass",
        pretrained=False,
        head_channels=32,
        separable_heads=False,
        hourglass_stem=8,
        hourglass_widths=(24, 32, 48),
    ),
    optim=OptimConfig(lr=3e-3, ema=0.9),
)


@pytest.mark.slow
def test_a_tiny_network_overfits_eight_images(tmp_path: Path, uneven_data: TrainingData) -> None:
    config = replace(TINY, out=tmp_path, steps=400, batch=8, input_size=128)
    assert train(config, uneven_data).map50 > 0.95


def test_a_tiny_network_overfits_one_small_image(tmp_path: Path, uneven_data: TrainingData) -> None:
    one = uneven_data.train[1]
    config = replace(TINY, out=tmp_path, steps=80, batch=1, input_size=128)
    data = replace(uneven_data, train=[one], val=[one])
    assert train(config, data).map50 > 0.95
