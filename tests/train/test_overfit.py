"""A tiny network learns four pictures by heart: every head, through the runtime's decoder."""

from pathlib import Path

import pytest

from p2o_train.batches import TrainingData
from p2o_train.config import NetworkConfig, OptimConfig, TrainConfig
from p2o_train.engine import train

TINY = NetworkConfig(
    backbone="hourglass",
    pretrained=False,
    head_channels=32,
    separable_heads=False,
    hourglass_stem=8,
    hourglass_widths=(24, 32, 48),
)


@pytest.mark.slow
def test_a_tiny_network_overfits_four_images(tmp_path: Path, noise_data: TrainingData) -> None:
    config = TrainConfig(
        out=tmp_path,
        steps=150,
        batch=4,
        workers=0,
        threads=1,
        device="cpu",
        validate_every=50,
        pictures=0,
        network=TINY,
        optim=OptimConfig(lr=3e-3, ema=0.9),
    )
    assert train(config, noise_data).map50 > 0.9
