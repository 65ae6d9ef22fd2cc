"""Heads evaluated at cells against a naive convolution of the whole, padded map."""

import io
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from points2objects import BundleError, ModelSpec
from points2objects.decode import decode
from points2objects.geometry import FloatArray
from points2objects.heads import (
    Head,
    HeadMap,
    Layer,
    graph_outputs,
    heads_to_bytes,
    read_cells,
    read_heads,
)
from points2objects.interpreter import Interpreter
from points2objects.tensors import CellMap, OutputMap

ModelWriter = Callable[..., bytes]


def _head(rng: np.random.Generator, width: int, channels: int, depthwise: bool) -> Head:
    def layer(*shape: int) -> Layer:
        bias = rng.normal(size=shape[-1])
        return Layer(rng.normal(size=shape).astype(np.float32), bias.astype(np.float32))

    spatial = (layer(9, width), layer(width, 5)) if depthwise else (layer(9, width, 5),)
    return Head((*spatial, layer(5, channels)))


def _naive(head: Head, features: FloatArray) -> FloatArray:
    """Slide the first layer over the map with zeros around it, one cell at a time, in float64."""
    height, width, _ = features.shape
    padded = np.pad(features.astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    out = np.zeros((height, width, head.channels))
    for row, column in np.ndindex(height, width):
        first = head.layers[0]
        seen = padded[row : row + 3, column : column + 3].reshape(9, -1)
        if first.weight.ndim == 2:
            values = (seen * first.weight).sum(axis=0)
        else:
            values = sum(seen[k] @ first.weight[k] for k in range(9))
        values = values + first.bias
        for layer in head.layers[1:-1]:
            values = values @ layer.weight + layer.bias
        out[row, column] = np.maximum(values, 0) @ head.layers[-1].weight + head.layers[-1].bias
    return out


@pytest.mark.parametrize("depthwise", [True, False])
@pytest.mark.parametrize("quantised", [True, False])
def test_a_head_at_cells_is_the_padded_convolution(depthwise: bool, quantised: bool) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(-128, 128, (6, 5, 4)).astype(np.int8)
    features = OutputMap(values, 0.02, -100) if quantised else OutputMap(values / np.float32(9))
    output = HeadMap(_head(rng, 4, 7, depthwise), features)
    want = _naive(output.head, features.real())
    assert output.shape == want.shape == (6, 5, 7)
    np.testing.assert_allclose(output.real(), want, rtol=1e-4, atol=1e-4)
    rows, columns = np.array([[0, 5], [3, 0]]), np.array([[0, 4], [2, 4]])
    np.testing.assert_allclose(
        output.gather(rows, columns), want[rows, columns], rtol=1e-4, atol=1e-4
    )
    none = np.zeros((0, 9), np.int64)
    assert output.gather(none, none).shape == (0, 9, 7)


def test_features_beyond_the_edge_are_zero_whatever_stands_for_it() -> None:
    features = OutputMap(np.full((3, 4, 1), 7, np.int8), 0.5, -3)
    patches = features.patches(np.array([0, 1]), np.array([3, 1]))
    assert patches.shape == (2, 9, 1)
    np.testing.assert_array_equal(patches[0, :, 0], [0, 0, 0, 5, 5, 0, 5, 5, 0])
    np.testing.assert_array_equal(patches[1, :, 0], np.full(9, 5.0))


def _sparse_maps(spec: ModelSpec, seed: int) -> dict[str, CellMap]:
    rng = np.random.default_rng(seed)
    features = OutputMap(rng.normal(size=(64, 64, 4)).astype(np.float32))
    maps: dict[str, CellMap] = {
        name: HeadMap(_head(rng, 4, channels, True), features)
        for name, channels in spec.outputs.items()
    }
    maps["heatmap"] = OutputMap(rng.uniform(0, 1, (64, 64, 2)).astype(np.float32))
    return maps


@pytest.mark.parametrize("radius", [0, 1])
def test_peaks_are_the_same_from_whole_maps(spec: ModelSpec, radius: int) -> None:
    voting = replace(spec, vote_radius=radius, max_objects=400)
    sparse = _sparse_maps(spec, 1)
    whole = {name: OutputMap(output.real()) for name, output in sparse.items()}
    have, want = decode(sparse, voting), decode(whole, voting)
    # The border, where the padding counts, is among them.
    assert {0, 63} <= set(want.row.tolist())
    assert {0, 63} <= set(want.column.tolist())
    for name in ("rotation", "translation", "scale", "gravity"):
        np.testing.assert_allclose(getattr(have, name), getattr(want, name), rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(have.exemplar_id, want.exemplar_id)


def test_reading_several_outputs_is_reading_each(spec: ModelSpec) -> None:
    maps = _sparse_maps(spec, 2)
    rows, columns = np.array([[0, 9]]), np.array([[63, 9]])
    found = read_cells(maps, tuple(spec.outputs), rows, columns)
    for name, output in maps.items():
        np.testing.assert_array_equal(found[name], output.gather(rows, columns))


def _colour_heads(spec: ModelSpec) -> dict[str, Head]:
    rng = np.random.default_rng(3)
    return {
        name: _head(rng, 3, channels, name != "scale")
        for name, channels in spec.outputs.items()
        if name != "heatmap"
    }


@pytest.mark.parametrize("quantised", [False, True])
def test_the_interpreter_makes_the_outputs_that_the_network_lacks(
    spec: ModelSpec, write_model: ModelWriter, quantised: bool
) -> None:
    heads = _colour_heads(spec)
    model = write_model(spec, quantised, heads=heads_to_bytes(heads))
    image = np.random.default_rng(4).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    maps = Interpreter(model, spec).run(image.repeat(4, 0).repeat(4, 1))
    assert list(maps) == list(spec.outputs)
    colours = (image - np.array(spec.mean)) / np.array(spec.std)
    for name, head in heads.items():
        want = _naive(head, colours.astype(np.float32))
        assert maps[name].shape == want.shape
        error = np.linalg.norm(maps[name].real() - want) / np.linalg.norm(want)
        assert error < (0.02 if quantised else 1e-5), name


def test_weights_come_back_as_they_were(spec: ModelSpec, write_model: ModelWriter) -> None:
    heads = _colour_heads(spec)
    model = write_model(spec, heads=heads_to_bytes(heads))
    found = read_heads(model, spec)
    assert list(found) == list(heads)
    for name, head in heads.items():
        for have, want in zip(found[name].layers, head.layers, strict=True):
            np.testing.assert_array_equal(have.weight, want.weight)
            np.testing.assert_array_equal(have.bias, want.bias)
    assert graph_outputs(spec, found) == {"heatmap": 2, "features": 3}
    assert read_heads(write_model(spec), spec) == {}
    assert graph_outputs(spec, {}) == spec.outputs


def _arrays(**arrays: FloatArray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def _single(array: FloatArray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"no archive", "are damaged"),
        (heads_to_bytes({})[:-4], "are damaged"),
        (_single(np.zeros(3, np.float32)), "are damaged"),
        (_arrays(**{f"a.{i}.{p}": np.array(1.0) for i in "01" for p in ("weight", "bias")}), "are"),
        (_arrays(scale=np.zeros(3, np.float32)), "are damaged"),
        (_arrays(**{"scale.0.weight": np.zeros((9, 3), np.float32)}), "are damaged"),
        (
            _arrays(**{f"scale.0.{p}": np.zeros(3, np.float32) for p in ("weight", "bias")}),
            "needs a 3x3 convolution and a 1x1",
        ),
        (
            _arrays(
                **{f"scale.{i}.weight": np.zeros((9, 3), np.float32) for i in range(2)},
                **{f"scale.{i}.bias": np.zeros(3, np.float32) for i in range(2)},
            ),
            r"layer 1 of a head: expected weights \(3, 3\) and a bias \(3,\), got \(9, 3\)",
        ),
    ],
)
def test_damaged_weights_are_named(
    spec: ModelSpec, write_model: ModelWriter, data: bytes, words: str
) -> None:
    with pytest.raises(BundleError, match=rf"{words}.*convert the checkpoint again"):
        Interpreter(write_model(spec, heads=data), spec)


def _archive(name: str, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytearray:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr(name, content)
    return bytearray(stream.getvalue())


def _header_only(shape: str) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00\x76\x00" + text.encode() + bytes(64)


def _patched(data: bytearray, local: int, central: int, value: int) -> bytes:
    """Change a byte of the only entry, in both of its headers."""
    data[local] = data[data.find(b"PK\x01\x02") + central] = value
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (bytes(_archive("scale.0.weight.npy", bytes(200 << 20))), "it unpacks to 209715200 bytes"),
        (bytes(_archive("scale.0.weight.npy", _header_only("(10**13,)"))), "are damaged"),
        (bytes(_archive("a.npy", _header_only("(10000000000000,)"))), "an array of shape"),
        (bytes(_archive("a.npy", _header_only("(-1, -16)"))), "an array of shape"),
        (_patched(_archive("a.npy", bytes(8)), 6, 8, 1), "encrypted or packed"),
        (_patched(_archive("a.npy", bytes(8)), 8, 10, 99), "encrypted or packed"),
        (_arrays(a=np.array(["text"])), "not of numbers"),
        (_arrays(**{"scale.0.weight": np.full((9, 3), np.nan)}), "no finite numbers"),
        (_arrays(**{"scale.0.weight": np.full((9, 3), 1e300)}), "no finite numbers"),
    ],
)
def test_hostile_weights_are_refused_before_they_are_unpacked(
    spec: ModelSpec, write_model: ModelWriter, data: bytes, words: str
) -> None:
    model = write_model(spec, heads=data)
    tracemalloc.start()
    with pytest.raises(BundleError, match=words):
        read_heads(model, spec)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 64 << 20


def test_heads_of_another_spec_are_refused(spec: ModelSpec, write_model: ModelWriter) -> None:
    rng = np.random.default_rng(5)
    for heads in (
        {**_colour_heads(spec), "gravity": _head(rng, 3, 4, True)},
        {**_colour_heads(spec), "depth": _head(rng, 3, 1, True)},
        {**_colour_heads(spec), "heatmap": _head(rng, 3, 2, True)},
        {**_colour_heads(spec), "gravity": _head(rng, 4, 3, True)},
    ):
        with pytest.raises(BundleError, match=r"its heads make .* but the spec's outputs"):
            Interpreter(write_model(spec, heads=heads_to_bytes(heads)), spec)
    wider = {name: _head(rng, 4, head.channels, True) for name, head in _colour_heads(spec).items()}
    with pytest.raises(BundleError, match=r"expected an output 'features' of shape .* 4\]"):
        Interpreter(write_model(spec, heads=heads_to_bytes(wider)), spec)
