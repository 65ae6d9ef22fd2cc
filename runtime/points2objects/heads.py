"""Output heads that run in float, and only at the cells that the decoder reads.

The network then ends in its heat-map and its features; the other outputs are made here, from the
3x3 features around each cell. Their weights lie in the .tflite as metadata, an .npz named
`HEADS_METADATA` with the arrays `rotation.0.weight`, `rotation.0.bias`, `rotation.1.weight` ...
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from points2objects.errors import BundleError
from points2objects.geometry import FloatArray, IntArray
from points2objects.metadata import read_metadata
from points2objects.npz import read_npz
from points2objects.spec import ModelSpec
from points2objects.tensors import CellMap, OutputMap, OutputMaps

HEADS_METADATA = "points2objects_heads"
"""Name under which a .tflite carries the weights of such heads."""

FEATURES = "features"
"""The output that such heads read."""

KERNEL_CELLS = 9

MOST_HEADS_BYTES = 64 << 20
"""Largest archive of weights that is read, packed or not."""


@dataclass(frozen=True, eq=False)
class Layer:
    """One convolution of a head.

    Attributes:
        weight: Of a first layer (9, c) if depthwise, else (9, c, m), kernel cells in row-major
            order; of a later one, 1x1, (c, m).
        bias: (m,), or (c,) if depthwise.
    """

    weight: FloatArray
    bias: FloatArray


@dataclass(frozen=True, eq=False)
class Head:
    """A 3x3 convolution and 1x1 convolutions after it, with a ReLU before the last.

    Attributes:
        layers: In order, at least two; each reads as many channels as the one before writes.
    """

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if len(self.layers) < 2:
            raise BundleError("a head needs a 3x3 convolution and a 1x1 convolution after it")
        first = self.layers[0].weight
        width = self.features
        for number, layer in enumerate(self.layers):
            depthwise = number == 0 and first.ndim == 2
            front = (KERNEL_CELLS, width) if number == 0 else (width,)
            made = width if depthwise else layer.weight.shape[-1]
            want = front if depthwise else (*front, made)
            if layer.weight.shape != want or layer.bias.shape != (made,):
                raise BundleError(
                    f"layer {number} of a head: expected weights {want} and a bias ({made},), got "
                    f"{layer.weight.shape} and {layer.bias.shape}"
                )
            width = made

    @property
    def features(self) -> int:
        """Channels that it reads."""
        weight = self.layers[0].weight
        return int(weight.shape[1]) if weight.ndim in (2, 3) else 0

    @property
    def channels(self) -> int:
        """Channels that it writes."""
        return len(self.layers[-1].bias)

    def evaluate(self, patches: FloatArray) -> FloatArray:
        """Return the output, (..., channels), of the features around cells, (..., 9, c)."""
        first, *between, last = self.layers
        *cells, kernel, width = patches.shape
        # Stacked, not flattened: BLAS spreads one large product over threads, which cost more.
        if first.weight.ndim == 2:
            values = np.einsum("...kc,kc->...c", patches, first.weight) + first.bias
        else:
            dense = first.weight.reshape(-1, first.weight.shape[2])
            values = patches.reshape(*cells, kernel * width) @ dense + first.bias
        for layer in between:
            values = values @ layer.weight + layer.bias
        values = np.maximum(values, 0.0) @ last.weight + last.bias
        return np.asarray(values)


Heads = Mapping[str, Head]
"""Name in `ModelSpec.outputs` -> head; empty if the network makes every output itself."""


@dataclass(frozen=True, eq=False)
class HeadMap:
    """An output map that is made where it is read.

    Attributes:
        head: Makes it.
        features: Of the network, (h, w, c).
    """

    head: Head
    features: OutputMap

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, columns, channels."""
        height, width, _ = self.features.shape
        return height, width, self.head.channels

    def gather(self, rows: IntArray, columns: IntArray) -> FloatArray:
        """Return real values, (..., c) float32, of cells given by arrays of one shape."""
        return self.head.evaluate(self.features.patches(rows, columns))

    def real(self) -> FloatArray:
        """Return the whole map, (h, w, c) float32; for checks, as it takes its time."""
        rows, columns = np.indices(self.shape[:2])
        return self.gather(rows, columns)


def read_cells(
    maps: OutputMaps, names: Sequence[str], rows: IntArray, columns: IntArray
) -> dict[str, FloatArray]:
    """Read several outputs at the same cells; name -> (..., c) float32.

    The features around the cells are cut out once for all heads that read them.
    """
    patches: dict[int, FloatArray] = {}
    found = {}
    for name in names:
        output: CellMap = maps[name]
        if isinstance(output, HeadMap):
            key = id(output.features)
            if key not in patches:
                patches[key] = output.features.patches(rows, columns)
            found[name] = output.head.evaluate(patches[key])
        else:
            found[name] = output.gather(rows, columns)
    return found


def graph_outputs(spec: ModelSpec, heads: Heads) -> dict[str, int]:
    """Return what the network itself puts out, name -> channels, in order."""
    dense = {name: count for name, count in spec.outputs.items() if name not in heads}
    widths = {head.features for head in heads.values()}
    return dense | dict.fromkeys([FEATURES] if heads else [], max(widths, default=0))


def heads_to_bytes(heads: Heads) -> bytes:
    """Write weights as an .npz; `read_heads` reads it back."""
    arrays = {
        f"{name}.{number}.{part}": np.asarray(values, np.float32)
        for name, head in heads.items()
        for number, layer in enumerate(head.layers)
        for part, values in (("weight", layer.weight), ("bias", layer.bias))
    }
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays)
    return stream.getvalue()


def read_heads(tflite: bytes, spec: ModelSpec) -> dict[str, Head]:
    """Read the heads that a .tflite carries; none if the network makes every output itself.

    Raises:
        BundleError: They are damaged, or not those of the spec.
    """
    data = read_metadata(tflite, HEADS_METADATA)
    if data is None:
        return {}
    try:
        packed = read_npz(data, MOST_HEADS_BYTES)
        with np.errstate(over="ignore"):
            arrays = {name: np.asarray(values, np.float32) for name, values in packed.items()}
        if not all(np.isfinite(values).all() for values in arrays.values()):
            raise ValueError("weights that are no finite numbers")
        heads = _assemble(arrays)
    except (ValueError, KeyError, IndexError) as error:
        raise BundleError(
            f"model.tflite: its {HEADS_METADATA} are damaged ({error}); convert the checkpoint "
            "again"
        ) from error
    except BundleError as error:
        raise BundleError(f"model.tflite: {error}; convert the checkpoint again") from error
    have = {name: head.channels for name, head in heads.items()}
    want = {name: spec.outputs.get(name) for name in heads if name != "heatmap"}
    if have != want or len({head.features for head in heads.values()}) > 1:
        raise BundleError(
            f"model.tflite: its heads make {have}, but the spec's outputs are {spec.outputs}; "
            "convert the checkpoint again"
        )
    return heads


def _assemble(arrays: Mapping[str, FloatArray]) -> dict[str, Head]:
    """Put heads together from arrays named as `heads_to_bytes` does.

    Raises:
        KeyError: A layer lacks its weight or its bias.
        ValueError: A name is none of ours.
    """
    counts: dict[str, int] = {}
    for key in arrays:
        name, number, _ = key.split(".")
        counts[name] = max(counts.get(name, 0), int(number) + 1)
    return {
        name: Head(
            tuple(
                Layer(arrays[f"{name}.{i}.weight"], arrays[f"{name}.{i}.bias"])
                for i in range(count)
            )
        )
        for name, count in counts.items()
    }
