"""YOLOX-Nano computes what the published file says, and the body hands its knowledge on."""

from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F

from p2o_train.config import NetworkConfig
from p2o_train.network.build import PointsNetwork, build_network
from p2o_train.network.heads import PRIOR_CENTER, PRIOR_STEP
from p2o_train.network.yolox import YoloxNano, read_onnx_weights
from p2o_train.network.yolox_body import YoloxBody
from points2objects.errors import InputError
from points2objects.spec import GravityEncoding, ModelSpec

CLASSES = ("chair", "lamp", "table")
CHAIR_ROW, TABLE_ROW = 56, 60


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def published(network: YoloxNano, path: Path) -> nn.Conv2d:
    """Write a network's convolutions as the published file has them; return its first layer."""
    first = nn.Conv2d(12, 16, 3, 1, 1)
    nodes, tensors = [], []
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    for index, conv in enumerate([first, *convolutions[1:]]):
        assert conv.bias is not None
        for name, value in ((f"w{index}", conv.weight), (f"b{index}", conv.bias)):
            tensors.append(numpy_helper.from_array(value.detach().numpy(), name))
        nodes.append(
            helper.make_node("Conv", [f"x{index}", f"w{index}", f"b{index}"], [f"x{index + 1}"])
        )
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        for name in ("x0", f"x{len(nodes)}")
    ]
    graph = helper.make_graph(nodes, "yolox", ends[:1], ends[1:], tensors)
    onnx.save(helper.make_model(graph), str(path))
    return first


def test_one_convolution_does_what_regrouping_pixels_and_a_smaller_one_do(tmp_path: Path) -> None:
    source, network = YoloxNano(), YoloxNano()
    first = published(source, tmp_path / "yolox.onnx")
    read_onnx_weights(network, tmp_path / "yolox.onnx")
    rgb = torch.rand(2, 3, 32, 64)
    bgr = rgb.flip(1)
    corners = [bgr[..., r::2, c::2] for r, c in ((0, 0), (1, 0), (0, 1), (1, 1))]
    with torch.no_grad():
        torch.testing.assert_close(network.pyramid.stem(rgb), first(torch.cat(corners, dim=1)))


def test_a_published_file_gives_every_other_layer_its_weights(tmp_path: Path) -> None:
    source, network = YoloxNano(), YoloxNano()
    published(source, tmp_path / "yolox.onnx")
    read_onnx_weights(network, tmp_path / "yolox.onnx")
    theirs = dict(source.named_parameters())
    for name, value in network.named_parameters():
        if not name.startswith("pyramid.stem"):
            torch.testing.assert_close(value, theirs[name], rtol=0, atol=0)


def test_other_files_are_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.onnx: expected YOLOX-Nano as ONNX"):
        read_onnx_weights(YoloxNano(), tmp_path / "nothing.onnx")
    small = YoloxNano()
    del small.levels[2]
    published(small, tmp_path / "small.onnx")
    with pytest.raises(InputError, match=r"expected the 1\d\d convolutions of YOLOX-Nano, got"):
        read_onnx_weights(YoloxNano(), tmp_path / "small.onnx")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("yolox") / "yolox.onnx"
    published(YoloxNano(), path)
    return path


def make(weights: Path, stride: int = 8, freeze: int = 7) -> PointsNetwork:
    spec = ModelSpec(
        *("test", CLASSES, 4, "digest"),
        stride=stride,
        mean=(114, 114, 114),
        std=(2, 2, 2),
        gravity=GravityEncoding.POOLED,
    )
    config = NetworkConfig(
        backbone="yolox-nano",
        weights=weights,
        stride=8 if stride == 8 else 4,
        freeze_stages=freeze,
        decoder_channels=(16, 16, 16),
        head_channels=8,
    )
    return build_network(config, spec)


@pytest.mark.parametrize("stride", [4, 8])
def test_features_have_the_stride_and_end_in_the_scores(weights: Path, stride: int) -> None:
    network = make(weights, stride).eval()
    with torch.no_grad():
        features = network.body(torch.randn(2, 3, 64, 96))
    assert features.shape == (2, 16 + len(CLASSES), 64 // stride, 96 // stride)


def test_the_scores_are_the_detectors_own_for_the_classes_that_it_knows(weights: Path) -> None:
    detector = YoloxNano().eval()
    read_onnx_weights(detector, weights)
    network = make(weights).eval()
    assert isinstance(network.body, YoloxBody)
    rgb = torch.randint(0, 256, (1, 3, 64, 64)).float()
    with torch.no_grad():
        # Beyond the picture the detector sees 0, the network its mean: compare without a border.
        given = F.pad(rgb, [32] * 4, value=114.0)
        answers = detector(given)
        features = network.body((given - 114) / 2)
    expected: torch.Tensor | None = None
    for answer in reversed(answers):
        both = torch.minimum(answer.classes, answer.objectness)[:, [CHAIR_ROW, TABLE_ROW]]
        level = F.relu((both + PRIOR_CENTER) * PRIOR_STEP)
        if expected is not None:
            level = torch.maximum(F.interpolate(expected, scale_factor=2.0, mode="bilinear"), level)
        expected = level
    assert expected is not None
    inner = slice(6, 10)
    chair_and_table = features[:, [-3, -1]]
    torch.testing.assert_close(
        chair_and_table[..., inner, inner], expected[..., inner, inner], rtol=0, atol=2e-2
    )
    assert features[:, -2].max() == 0, "the detector knows no lamp"


def test_the_heat_map_starts_from_the_scores(weights: Path) -> None:
    network = make(weights).eval()
    with torch.no_grad():
        features = network.body(torch.zeros(1, 3, 64, 64))
        logits = network(torch.zeros(1, 3, 64, 64))["heatmap"]
    torch.testing.assert_close(logits, features[:, -3:] / PRIOR_STEP - PRIOR_CENTER)


@pytest.mark.parametrize(("parts", "learning"), [(7, 0), (6, 1), (0, 7)])
def test_so_many_parts_stay_as_they_are(weights: Path, parts: int, learning: int) -> None:
    body = make(weights, freeze=parts).body
    assert isinstance(body, YoloxBody)
    names = ("stem", "dark2", "dark3", "dark4", "dark5", "lateral5")
    modules = [getattr(body.backbone, name) for name in names] + [body.levels]
    free = [all(p.requires_grad for p in module.parameters()) for module in modules]
    assert free == [False] * (7 - learning) + [True] * learning
