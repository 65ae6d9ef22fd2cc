"""Parts for the runtime's tests: a spec, an exemplar pack and a small genuine network."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import settings

from points2objects import ModelSpec

Array = npt.NDArray[Any]
PackWriter = Callable[..., bytes]
ModelWriter = Callable[..., bytes]

TETRAHEDRON = np.array([[-1, -1, -1], [1, -1, 1], [-1, 1, 1], [1, 1, -1]]) / 2.0
FACES = np.array([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])


@pytest.fixture
def spec() -> ModelSpec:
    return ModelSpec(
        "tiny", ("chair", "mug"), exemplars_per_class=2, shapedb_digest="ab" * 32, max_objects=8
    )


def _write_pack(spec: ModelSpec, digest: str | None = None, meshes: int | None = None) -> bytes:
    """Write a pack without using the runtime: int16 positions, int8 normals, padded strides."""
    count = len(spec.classes) * spec.exemplars_per_class if meshes is None else meshes
    positions = np.zeros((4, 4), "<i2")
    positions[:, :3] = np.rint(TETRAHEDRON * 2 * 32767)
    normals = np.zeros((4, 4), "i1")
    normals[:, :3] = np.rint(TETRAHEDRON * 2 / np.sqrt(3) * 127)
    indices = FACES.astype("<u2").ravel()
    binary = positions.tobytes() + normals.tobytes() + indices.tobytes()
    labels = [(spec.classes[i // spec.exemplars_per_class], i) for i in range(count)]
    nodes = [
        {
            "name": f"{label}/{i % spec.exemplars_per_class:02}",
            "mesh": i,
            "scale": [0.5, 0.5, 0.5],
            "extras": {
                "class": label,
                "index": i % spec.exemplars_per_class,
                "exemplar_id": i,
                "model": f"model-{i}",
                "source": "procedural",
                "licence": "CC0-1.0",
                "attribution": f"author {i % 2}",
            },
        }
        for label, i in labels
    ]
    accessor = {"bufferView": 0, "componentType": 5122, "normalized": True, "count": 4}
    document = {
        "asset": {
            "version": "2.0",
            "copyright": "the authors",
            "extras": {
                "points2objects": {
                    "schema": 1,
                    "shapedb_digest": digest or spec.shapedb_digest,
                    "classes": list(spec.classes),
                    "exemplars_per_class": spec.exemplars_per_class,
                }
            },
        },
        "extensionsUsed": ["KHR_mesh_quantization"],
        "extensionsRequired": ["KHR_mesh_quantization"],
        "scene": 0,
        "scenes": [{"nodes": [count]}],
        "nodes": [*nodes, {"name": "world", "children": list(range(count))}],
        "meshes": [
            {
                "name": node["name"],
                "primitives": [
                    {"attributes": {"POSITION": 0, "NORMAL": 1}, "indices": 2, "material": 0}
                ],
            }
            for node in nodes
        ],
        "materials": [{"pbrMetallicRoughness": {"baseColorFactor": [0.5, 0.25, 0.125, 1.0]}}],
        "accessors": [
            {**accessor, "type": "VEC3", "min": [-32767] * 3, "max": [32767] * 3},
            {**accessor, "bufferView": 1, "componentType": 5120, "type": "VEC3"},
            {"bufferView": 2, "componentType": 5123, "count": 12, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": 32, "byteStride": 8, "target": 34962},
            {"buffer": 0, "byteOffset": 32, "byteLength": 16, "byteStride": 4, "target": 34962},
            {"buffer": 0, "byteOffset": 48, "byteLength": 24, "target": 34963},
        ],
        "buffers": [{"byteLength": len(binary)}],
    }
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    size = 12 + 8 + len(text) + 8 + len(binary)
    header = struct.pack("<4sII", b"glTF", 2, size)
    return (
        header
        + struct.pack("<I4s", len(text), b"JSON")
        + text
        + struct.pack("<I4s", len(binary), b"BIN\0")
        + binary
    )


@pytest.fixture
def write_pack() -> PackWriter:
    """Return a writer (spec, digest=, meshes=) -> GLB bytes of a pack of tetrahedra."""
    return _write_pack


class _Graph:
    """The smallest TFLite writer that makes a 4x4 average and 1x1 convolutions of it."""

    def __init__(self, quantised: bool) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema: Any = schema
        self.quantised = quantised
        self.model: Any = schema.ModelT()
        self.model.version = 3
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes, self.model.metadata = [], []
        self.graph: Any = schema.SubGraphT()
        self.graph.name, self.graph.tensors, self.graph.operators = b"main", [], []

    def buffer(self, data: bytes) -> int:
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(data, np.uint8)
        self.model.buffers.append(buffer)
        return len(self.model.buffers) - 1

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        quantisation: tuple[float, int],
        data: Array | None = None,
    ) -> int:
        kinds = self.schema.TensorType
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape, tensor.hasRank = name.encode(), list(shape), True
        tensor.type = kinds.INT8 if self.quantised else kinds.FLOAT32
        if self.quantised:
            tensor.quantization = self.schema.QuantizationParametersT()
            tensor.quantization.scale = [quantisation[0]]
            tensor.quantization.zeroPoint = [quantisation[1]]
        if data is not None:
            tensor.buffer = self.buffer(data.tobytes())
            if data.dtype == np.int32:
                tensor.type = kinds.INT32
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def operator(self, name: str, inputs: list[int], output: int, options: Any = None) -> None:
        code = self.schema.OperatorCodeT()
        code.builtinCode = getattr(self.schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = code.builtinCode, 3 if self.quantised else 1
        if self.quantised and name != "CONV_2D":
            code.version = 2
        self.model.operatorCodes.append(code)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, [output]
        if options is not None:
            kind = type(options).__name__[:-1]
            operator.builtinOptions = options
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, kind)
        self.graph.operators.append(operator)

    def head(
        self, name: str, source: int, weights: Array, bias: Array, scale: float
    ) -> tuple[int, tuple[float, int]]:
        in_scale, weight_scale = INPUT_QUANTISATION[0], float(np.abs(weights).max() or 1.0) / 127
        kernel = weights[:, None, None, :].astype(np.float32)
        bias = bias.astype(np.float32)
        if self.quantised:
            kernel = np.rint(kernel / weight_scale).astype(np.int8)
            bias = np.rint(bias / (in_scale * weight_scale)).astype(np.int32)
        options = self.schema.Conv2DOptionsT()
        options.strideH = options.strideW = 1
        options.dilationHFactor = options.dilationWFactor = 1
        kernel_id = self.tensor(f"{name}_w", kernel.shape, (weight_scale, 0), kernel)
        bias_id = self.tensor(f"{name}_b", bias.shape, (in_scale * weight_scale, 0), bias)
        output = self.tensor(name, (1, 64, 64, len(weights)), (scale, 0))
        self.operator("CONV_2D", [source, kernel_id, bias_id], output, options)
        return output, (scale, 0)

    def finish(
        self, inputs: dict[str, int], outputs: dict[str, int], notes: dict[str, bytes]
    ) -> bytes:
        import flatbuffers  # type: ignore[import-untyped,unused-ignore]

        def named(tensors: dict[str, int]) -> list[Any]:
            maps = []
            for name, index in tensors.items():
                entry = self.schema.TensorMapT()
                entry.name, entry.tensorIndex = name.encode(), index
                maps.append(entry)
            return maps

        signature = self.schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = b"serving_default", 0
        signature.inputs, signature.outputs = named(inputs), named(outputs)
        self.graph.inputs, self.graph.outputs = list(inputs.values()), list(outputs.values())
        self.model.subgraphs, self.model.signatureDefs = [self.graph], [signature]
        for name, data in notes.items():
            entry = self.schema.MetadataT()
            entry.name, entry.buffer = name.encode(), self.buffer(data)
            self.model.metadata.append(entry)
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


INPUT_QUANTISATION = (5 / 255, -15)


def _write_model(
    spec: ModelSpec,
    quantised: bool = False,
    rename: str = "",
    outputs: bool = True,
    heads: bytes = b"",
    byte_input: bool = False,
) -> bytes:
    """Write a network that takes a red spot for a chair and a blue one for a mug.

    Every object is 2 camera heights away, faces along its ray, measures half a camera height and
    takes the second exemplar; gravity says that the camera looks 30 degrees down. With `heads`, an
    .npz, it puts out its features, the mean colours, instead of all but the heat-map. With
    `byte_input`, a quantised one takes uint8 of the same steps.
    """
    graph = _Graph(quantised)
    image = taken = graph.tensor("image", (1, 256, 256, 3), INPUT_QUANTISATION)
    if byte_input:
        scale, zero_point = INPUT_QUANTISATION
        taken = graph.tensor("bytes", (1, 256, 256, 3), (scale, zero_point + 128))
        graph.graph.tensors[taken].type = graph.schema.TensorType.UINT8
        graph.operator("QUANTIZE", [taken], image)
    pooled = graph.tensor("pooled", (1, 64, 64, 3), INPUT_QUANTISATION)
    options = graph.schema.Pool2DOptionsT()
    options.strideH = options.strideW = options.filterHeight = options.filterWidth = 4
    graph.operator("AVERAGE_POOL_2D", [image], pooled, options)
    weights = np.array([[2.0, -1, -1], [-1, -1, 2]])
    logits, _ = graph.head("logits", pooled, weights, np.full(2, -5.0), 0.1)
    heatmap = graph.tensor("heat", (1, 64, 64, 2), (1 / 256, -128))
    graph.operator("LOGISTIC", [logits], heatmap)
    up = np.array([0.0, -np.cos(np.pi / 6), -np.sin(np.pi / 6)])
    biases = {
        "rotation": np.zeros(9),
        "translation": np.array([0.0, 0.0, np.log(2.0)]),
        "scale": np.full(3, np.log(0.25)),
        "gravity": up - [0.0, -1.0, 0.0],
        "exemplar": np.tile([0.0, 1.0], 2),
    }
    found = {"heatmap": heatmap}
    for name, bias in biases.items():
        head, _ = graph.head(f"{name}_head", pooled, np.zeros((len(bias), 3)), bias, 0.0125)
        found[name] = head
    if not outputs:
        del found["scale"]
    notes = {"points2objects_spec": spec.to_json().encode()}
    if heads:
        found = {"heatmap": heatmap, "features": pooled}
        notes["points2objects_heads"] = heads
    return graph.finish({rename or "image": taken}, found, notes)


@pytest.fixture
def write_model() -> ModelWriter:
    """Return a writer (spec, quantised=, rename=, outputs=, byte_input=) -> .tflite bytes."""
    return _write_model


@pytest.fixture
def bundle_folder(tmp_path: Path, spec: ModelSpec) -> Path:
    """Return a bundle of the small network, made the way the converter makes one."""
    from points2objects import write_bundle

    pack = tmp_path / "pack.glb"
    pack.write_bytes(_write_pack(spec))
    folder = tmp_path / "bundles" / "tiny"
    write_bundle(folder, spec, _write_model(spec), pack, "# Tiny\n", {"map": 0.5})
    return folder


settings.register_profile("points2objects", derandomize=True, deadline=None)
settings.load_profile("points2objects")
