"""A tiny network learns four pictures by heart: every head, through the runtime's decoder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from p2o_train.batches import TrainingData
from p2o_train.config import LossConfig, NetworkConfig, OptimConfig, TrainConfig
from p2o_train.engine import train

TINY = NetworkConfig(
    backbone="hourglass",
    pretrained=False,
    head_channels=48,
    separable_heads=False,
    hourglass_stem=8,
    hourglass_widths=(24, 32, 48, 48),
)


@pytest.mark.slow
@pytest.mark.parametrize("pose", ["ray", "direct"])
def test_a_tiny_network_overfits_four_images(
    tmp_path: Path, noise_data: TrainingData, pose: str
) -> None:
    config = TrainConfig(
        out=tmp_path,
        steps=400,
        batch=4,
        workers=0,
        threads=2,
        device="cpu",
        validate_every=10_000,
        pictures=0,
        network=TINY,
        optim=OptimConfig(lr=3e-3, ema=0.9, backbone_lr=1.0),
    )
    if pose == "direct":
        loss = LossConfig(points=10, scale=10, point_form="joint", positive_radius=0.0)
        config = replace(config, pose="direct", loss=loss)
    result = train(config, noise_data)
    assert np.isfinite(result.map50)
    assert result.map50 > 0.9
