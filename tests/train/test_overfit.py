"""A tiny network learns pictures by heart: every head, through the runtime's decoder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from p2o_train.batches import TrainingData
from p2o_train.config import LossConfig, NetworkConfig, OptimConfig, TrainConfig
from p2o_train.engine import train


@pytest.fixture
def learning(tiny_network: NetworkConfig, config_for: Callable[..., TrainConfig]) -> TrainConfig:
    """Return options with which a small network learns fast."""
    network = replace(
        tiny_network, head_channels=32, hourglass_stem=8, hourglass_widths=(24, 32, 48)
    )
    return config_for(
        Path(), input_size=64, network=network, validate_every=1_000,
        optim=OptimConfig(lr=3e-3, ema=0.9), loss=LossConfig(),
    )  # fmt: skip


@pytest.mark.slow
def test_a_tiny_network_overfits_eight_images(
    tmp_path: Path, uneven_data: TrainingData, learning: TrainConfig
) -> None:
    config = replace(learning, out=tmp_path, steps=200, batch=8)
    assert train(config, uneven_data).map50 > 0.95


def test_a_tiny_network_overfits_one_small_image(
    tmp_path: Path, uneven_data: TrainingData, learning: TrainConfig
) -> None:
    one = uneven_data.train[1]
    config = replace(learning, out=tmp_path, steps=80, batch=1)
    data = replace(uneven_data, train=[one], val=[one])
    assert train(config, data).map50 > 0.95
