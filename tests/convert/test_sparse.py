"""Heads cut off the network: the same outputs in float, in every format, at every cell."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from p2o_convert.config import FORMATS, QuantiseConfig
from p2o_convert.flatbuffer import float_tensors, operators, read_spec
from p2o_convert.graph import pack, unpack
from p2o_convert.parity import Stage, compare_stages, first_broken
from p2o_convert.sparse import cut_heads, sparse_heads
from points2objects.decode import decode
from points2objects.errors import InputError
from points2objects.geometry import ByteArray
from points2objects.heads import HEADS_METADATA, HeadMap, read_heads
from points2objects.metadata import read_metadata
from points2objects.spec import ModelSpec
from points2objects.tensors import OutputMap

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from p2o_convert.models import FloatModel, Models
    from p2o_train.config import NetworkConfig

pytestmark = pytest.mark.convert

PLAIN = QuantiseConfig(rounding="nearest", equalise=False, heads="dense")
SPARSE = QuantiseConfig(rounding="nearest", equalise=False, heads="sparse")


def _network(config: "NetworkConfig", spec: ModelSpec) -> "nn.Module":
    """Build a small network of the project's own kind, whose heads say something."""
    import torch

    from p2o_train.network.build import build_network

    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = build_network(config, spec).eval()
        for name, parameter in network.heads.named_parameters():
            with torch.no_grad():
                # As they start, all heads are nearly constant; biases show how edges are padded.
                parameter.add_(0.3 * torch.randn_like(parameter))
                if name == "heads.heatmap.out.bias":
                    parameter.zero_()
    return network


def _export(
    network: "nn.Module", spec: ModelSpec, images: ByteArray, folder: "Path"
) -> "FloatModel":
    from p2o_convert.models import export_float32

    return export_float32(network, spec, images, PLAIN, folder)


@pytest.fixture(scope="module")
def separable(tiny_network: "NetworkConfig") -> "NetworkConfig":
    """Options of the tiny network with the phone's heads."""
    return replace(tiny_network, separable_heads=True)


@pytest.fixture(scope="module")
def dense(
    separable: "NetworkConfig",
    spec: ModelSpec,
    images: ByteArray,
    tmp_path_factory: pytest.TempPathFactory,
) -> "FloatModel":
    return _export(_network(separable, spec), spec, images, tmp_path_factory.mktemp("dense"))


@pytest.fixture(scope="module")
def formats(dense: "FloatModel", spec: ModelSpec, images: ByteArray) -> dict[str, bytes]:
    from p2o_convert.models import make_formats

    return make_formats(tuple(FORMATS), dense.tflite, images, spec, SPARSE)


@pytest.mark.parametrize("heads", ["separable", "full"])
def test_float_heads_at_cells_are_the_dense_float_model(
    heads: str,
    separable: "NetworkConfig",
    dense: "FloatModel",
    spec: ModelSpec,
    images: ByteArray,
    tmp_path: "Path",
) -> None:
    from p2o_convert.stages import tflite_predictor
    from p2o_train.predictors import torch_predictor

    network = _network(replace(separable, separable_heads=heads == "separable"), spec)
    made = dense if heads == "separable" else _export(network, spec, images, tmp_path)
    whole = made.tflite
    cut = cut_heads(whole, spec)
    stages = [
        Stage("torch", torch_predictor(network, spec), 0.0),
        Stage("dense", tflite_predictor(whole, spec, 1), 1e-5),
        Stage("sparse", tflite_predictor(cut, spec, 1), 1e-5),
        Stage("sparse to torch", tflite_predictor(cut, spec, 1), 1e-5, "torch"),
    ]
    steps = compare_stages(stages, images[:4])
    assert first_broken(steps) is None, steps
    assert all(list(step.heads) == list(spec.outputs) for step in steps)
    maps = tflite_predictor(cut, spec, 1)(images[0])
    assert [name for name, output in maps.items() if isinstance(output, HeadMap)] == [
        *("rotation", "translation", "scale", "gravity", "exemplar")
    ]
    # What is compared are no constants.
    assert all(output.real().std() > 1e-3 for output in maps.values())


def test_the_network_ends_in_its_heat_map_and_its_features(
    dense: "FloatModel", formats: dict[str, bytes], spec: ModelSpec
) -> None:
    cut = formats["float32"]
    before, after = (sum(operators(tflite).values()) for tflite in (dense.tflite, cut))
    assert before - after == 3 * len(sparse_heads(spec))
    names = {t.name for t in unpack(cut).subgraphs[0].tensors}
    assert not any(b"rotation" in name for name in names)
    for name, tflite in formats.items():
        assert list(read_heads(tflite, spec)) == sparse_heads(spec), name
        assert read_spec(tflite) == spec
        weights = read_metadata(tflite, HEADS_METADATA)
        assert weights == read_metadata(formats["float32"], HEADS_METADATA)
    assert not float_tensors(formats["int8-int8-io"])


def test_every_format_reads_its_heads(
    formats: dict[str, bytes], spec: ModelSpec, images: ByteArray
) -> None:
    from p2o_convert.stages import tflite_predictor

    stages = [
        Stage(name, tflite_predictor(tflite, spec, 1), 0.15, "" if i == 0 else "float32")
        for i, (name, tflite) in enumerate(formats.items())
    ]
    steps = compare_stages(stages, images[:4])
    assert first_broken(steps) is None, steps
    assert [step.name for step in steps] == [f"float32 -> {name}" for name in list(FORMATS)[1:]]
    worst = {step.name: max(head.relative for head in step.heads.values()) for step in steps}
    assert 0 < worst["float32 -> float16"] < 2e-3
    for name, stage in zip(formats, stages, strict=True):
        features = stage.predict(images[0])["scale"]
        assert isinstance(features, HeadMap)
        integer = np.issubdtype(features.features.values.dtype, np.integer)
        assert integer is (name == "int8-int8-io"), name


def test_int8_heads_lose_less_at_the_peaks_than_in_the_network(
    dense: "FloatModel", formats: dict[str, bytes], spec: ModelSpec, images: ByteArray
) -> None:
    from p2o_convert.models import make_formats
    from p2o_convert.stages import tflite_predictor

    rough = make_formats(("int8",), dense.tflite, images, spec, PLAIN)["int8"]
    lost = {}
    for name, tflite in (("dense", rough), ("sparse", formats["int8"])):
        stages = [
            Stage("float", tflite_predictor(dense.tflite, spec, 1), 0),
            Stage(name, tflite_predictor(tflite, spec, 1), 0),
        ]
        (step,) = compare_stages(stages, images[:4])
        lost[name] = {head: error.relative for head, error in step.heads.items()}
    for head in sparse_heads(spec):
        assert lost["sparse"][head] < lost["dense"][head], head


@pytest.mark.parametrize(("name", "kind"), [("int8", "float32"), ("int8-int8-io", "int8")])
def test_the_heat_map_may_stay_float_beside_them(
    dense: "FloatModel", spec: ModelSpec, images: ByteArray, name: str, kind: str
) -> None:
    from p2o_convert.models import make_formats
    from p2o_convert.stages import tflite_predictor

    options = QuantiseConfig(
        rounding="nearest", equalise=False, heads="sparse", float_heads=("heatmap",)
    )
    tflite = make_formats((name,), dense.tflite, images, spec, options)[name]
    maps = tflite_predictor(tflite, spec, 1)(images[0])
    heatmap, scale = maps["heatmap"], maps["scale"]
    assert isinstance(heatmap, OutputMap)
    assert isinstance(scale, HeadMap)
    assert heatmap.values.dtype == np.float32
    assert scale.features.values.dtype == np.dtype(kind)
    whole = tflite_predictor(dense.tflite, spec, 1)(images[0])
    for head in ("heatmap", "scale"):
        want = whole[head].real()
        assert np.linalg.norm(maps[head].real() - want) < 0.15 * np.linalg.norm(want), head
    assert len(decode(maps, spec, 0.0)) == spec.max_objects


def test_fine_tuning_leaves_heads_at_peaks_unrounded(
    separable: "NetworkConfig", spec: ModelSpec
) -> None:
    from p2o_convert.qat import round_like_int8

    network = _network(separable, spec)
    every = round_like_int8(network)
    every.undo()
    fewer = round_like_int8(network, left_float=sparse_heads(spec))
    fewer.undo()
    assert len(every.activations) - len(fewer.activations) == 3 * len(sparse_heads(spec))


def test_foreign_heads_are_refused(converted: "Models", spec: ModelSpec) -> None:
    with pytest.raises(InputError, match=r"--heads sparse: the head 'rotation' holds ADD where"):
        cut_heads(converted.tflite["float32"], spec)


def test_heads_that_compute_something_else_are_refused(
    dense: "FloatModel", spec: ModelSpec
) -> None:
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(dense.tflite)
    outputs = {e.name.decode(): e.tensorIndex for e in model.signatureDefs[0].outputs}
    (last,) = (o for o in model.subgraphs[0].operators if o.outputs[0] == outputs["gravity"])
    last.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.RELU6
    with pytest.raises(InputError, match=r"'gravity' holds other activations than one ReLU"):
        cut_heads(pack(model), spec)
    last.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.NONE
    last.builtinOptions.dilationHFactor = 2
    with pytest.raises(InputError, match=r"'gravity' holds a convolution of another size, stride"):
        cut_heads(pack(model), spec)


def test_the_converter_cuts_them_off_unless_told_otherwise() -> None:
    assert QuantiseConfig().heads == "sparse"


def test_only_the_heat_map_can_be_left_float_with_them() -> None:
    with pytest.raises(InputError, match=r"with --heads sparse only heatmap .* got exemplar"):
        QuantiseConfig(heads="sparse", float_heads=("exemplar",))
