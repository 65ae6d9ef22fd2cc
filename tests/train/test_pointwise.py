"""No network holds the strided 1x1 convolution that torch crashes on, on any processor."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import nn

from p2o_train.config import NetworkConfig
from p2o_train.network.build import build_network
from p2o_train.network.hourglass import HourglassBody
from p2o_train.network.pointwise import StridedPointwise, split_narrow_strides
from p2o_train.options import PRESETS, parse_training
from points2objects.errors import InputError
from points2objects.spec import ModelSpec

SPEC = ModelSpec("test", ("a", "b"), 4, "digest")
LANES = 16
"""Channels of one AVX-512 register of float32."""

WIDTHS = (1, 7, 8, 15, 16, 17)


def crashing(network: nn.Module) -> list[str]:
    """Return the names of layers of the kind that oneDNN #6035 is about."""
    return [
        name
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d)
        and layer.kernel_size == (1, 1)
        and layer.stride != (1, 1)
        and layer.in_channels // layer.groups < LANES
    ]


@pytest.mark.parametrize("preset", PRESETS)
def test_no_preset_holds_a_narrow_strided_pointwise_convolution(preset: str) -> None:
    config = replace(parse_training("", ["--preset", preset]).network, pretrained=False)
    with torch.device("meta"):
        assert crashing(build_network(config, SPEC)) == []


def test_no_hourglass_holds_one_whatever_its_widths() -> None:
    split = 0
    for stem, first in product(WIDTHS, repeat=2):
        config = NetworkConfig(
            backbone="hourglass",
            pretrained=False,
            hourglass_stem=stem,
            hourglass_widths=(first, stem, first),
        )
        with torch.device("meta"):
            network = build_network(config, SPEC)
        assert crashing(network) == []
        split += sum(isinstance(layer, StridedPointwise) for layer in network.modules())
    narrow = sum(width < LANES for width in WIDTHS)
    # The stem's shortcut, and that of each of two levels.
    assert split == 3 * narrow * len(WIDTHS)


def test_only_narrow_ones_are_replaced_and_their_names_stay(tiny_network: NetworkConfig) -> None:
    config = replace(tiny_network, hourglass_widths=(16, 12, 16))
    plain, built = HourglassBody(config), build_network(config, SPEC).body
    assert list(plain.state_dict()) == list(built.state_dict())
    assert len(crashing(plain)) == 2
    shortcuts = {name for name, layer in built.named_modules() if type(layer) is StridedPointwise}
    assert shortcuts == set(crashing(plain))


@pytest.mark.parametrize(("stride", "bias", "groups"), [(2, False, 1), (3, True, 1), (2, True, 2)])
@pytest.mark.parametrize("size", [(8, 8), (7, 9), (1, 2)])
def test_the_two_steps_are_the_strided_convolution(
    stride: int, bias: bool, groups: int, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(6, 4, 1, stride, groups=groups, bias=bias).double()
    wanted = torch.randn(2, 6, *size, dtype=torch.double, requires_grad=True)
    given = wanted.detach().clone().requires_grad_()
    expected = conv(wanted)
    (expected.square().sum()).backward()
    gradients = [value.grad for value in (wanted, *conv.parameters())]
    conv.zero_grad()
    network = nn.Sequential(conv)
    split_narrow_strides(network, "test")
    assert isinstance(network[0], StridedPointwise)
    torch.testing.assert_close(network(given), expected)
    network(given).square().sum().backward()
    torch.testing.assert_close([value.grad for value in (given, *network.parameters())], gradients)


def test_what_is_more_than_a_convolution_is_refused() -> None:
    class Standardised(nn.Conv2d):
        """Stands for timm's kinds that change their weights before they convolve."""

    for layer in (Standardised(8, 16, 1, 2), nn.Conv2d(8, 16, 1, 2, padding=1)):
        with pytest.raises(InputError, match=r"^--network.backbone timm:x: body\.0 is a .* of 8 "):
            split_narrow_strides(
                nn.ModuleDict({"body": nn.Sequential(layer)}), "--network.backbone timm:x"
            )
    wide = nn.Sequential(Standardised(16, 16, 1, 2))
    split_narrow_strides(wide, "test")
    assert type(wide[0]) is Standardised
