from typing import TYPE_CHECKING

import numpy as np
import pytest

from p2o_convert.parity import Stage, compare_stages
from points2objects.geometry import ByteArray
from points2objects.spec import ModelSpec

if TYPE_CHECKING:
    from pathlib import Path

    import onnx
    from torch import nn

pytestmark = pytest.mark.convert

RNG = np.random.default_rng(4)


def uneven_network(spec: ModelSpec) -> "nn.Module":
    """A bottleneck with a residual sum whose channels differ by a factor of a thousand."""
    import torch
    from torch import Tensor, nn

    class Uneven(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 16, 3, 4, padding=1)
            self.narrow = nn.Conv2d(16, 12, 1)
            self.back = nn.Conv2d(12, 12, 3, padding=1, groups=12)
            self.heads = nn.ModuleDict({n: nn.Conv2d(12, c, 1) for n, c in spec.outputs.items()})
            scale = torch.logspace(-1.5, 1.5, 12)
            with torch.no_grad():
                for layer in (self.narrow, self.back):
                    layer.weight.mul_(scale.view(-1, 1, 1, 1))
                    assert layer.bias is not None
                    layer.bias.mul_(scale)
                self.back.weight.div_(scale.view(-1, 1, 1, 1))
                for head in self.heads.values():
                    assert isinstance(head, nn.Conv2d)
                    head.weight.div_(scale.view(1, -1, 1, 1))

        def forward(self, image: Tensor) -> dict[str, Tensor]:
            x = self.narrow(nn.functional.relu6(self.stem(image)))
            x = x + self.back(x)
            return {name: head(x) for name, head in self.heads.items()}

    with torch.random.fork_rng():
        torch.manual_seed(5)
        return Uneven().eval()


@pytest.fixture(scope="module")
def pair(
    spec: ModelSpec, images: ByteArray, tmp_path_factory: pytest.TempPathFactory
) -> "tuple[Path, Path]":
    """The uneven network as ONNX, before and after."""
    import onnx

    from p2o_convert.equalise import equalise
    from p2o_convert.onnx_export import export_onnx, load_onnx

    folder = tmp_path_factory.mktemp("equalise")
    before, after = folder / "model.onnx", folder / "model_equalised.onnx"
    export_onnx(uneven_network(spec), spec, before)
    onnx.save(equalise(load_onnx(before), images, spec), str(after))
    return before, after


def test_in_float_nothing_changes_on_images_never_seen(
    pair: "tuple[Path, Path]", spec: ModelSpec
) -> None:
    from p2o_convert.stages import onnx_predictor

    noise = RNG.integers(0, 256, (4, spec.input_size, spec.input_size, 3)).astype(np.uint8)
    stages = [Stage(path.stem, onnx_predictor(path, spec), 1e-6) for path in pair]
    (step,) = compare_stages(stages, noise)
    assert not step.broken, step


def test_channels_that_are_tied_together_become_alike(
    pair: "tuple[Path, Path]", spec: ModelSpec, images: ByteArray
) -> None:
    from p2o_convert.equalise import channel_maxima, find_groups
    from p2o_convert.onnx_export import load_onnx

    def spread(path: "Path") -> float:
        model = load_onnx(path)
        groups = [g for g in find_groups(model) if not g.fixed and g.producers and g.readers]
        (group,) = groups
        assert len(group.producers) == 2
        # The depthwise layer reads the group as well as the heads do.
        assert len(group.readers) == 1 + len(spec.outputs)
        largest = channel_maxima(model, groups, images, spec)
        return float(np.mean([values.max() / values.min() for values in largest.values()]))

    before, after = map(spread, pair)
    assert before > 100
    assert after < before / 20


def test_int8_loses_less_afterwards(
    pair: "tuple[Path, Path]", spec: ModelSpec, images: ByteArray
) -> None:
    from p2o_convert.config import QuantiseConfig
    from p2o_convert.models import make_formats
    from p2o_convert.stages import tflite_predictor
    from p2o_convert.tflite_export import export_tflite

    plain = QuantiseConfig(rounding="nearest", equalise=False, heads="dense")
    lost = []
    for path in pair:
        made = make_formats(("float32", "int8"), export_tflite(path, spec), images, spec, plain)
        stages = [Stage(n, tflite_predictor(t, spec, 1), 1) for n, t in made.items()]
        (step,) = compare_stages(stages, images[:4])
        lost.append(sum(head.relative for head in step.heads.values()))
    assert lost[1] < 0.5 * lost[0]


def test_what_a_relu6_writes_stays_as_it_is(pair: "tuple[Path, Path]") -> None:
    from onnx import numpy_helper

    from p2o_convert.onnx_export import load_onnx

    def stem(path: "Path") -> "list[onnx.TensorProto]":
        model = load_onnx(path)
        (node,) = (n for n in model.graph.node if n.name == "stem")
        return [t for t in model.graph.initializer if t.name in node.input]

    for one, other in zip(*map(stem, pair), strict=True):
        assert (numpy_helper.to_array(one) == numpy_helper.to_array(other)).all()
