"""A small random network with the real one's operators, converted once for all tests."""

from typing import TYPE_CHECKING

import numpy as np
import pytest

from points2objects.geometry import ByteArray
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
