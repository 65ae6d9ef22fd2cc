import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from p2o_convert.flatbuffer import (
    embed_spec,
    float_tensors,
    operators,
    order_outputs,
    read_spec,
    tensor_types,
)
from p2o_convert.graph import pack, unpack
from p2o_convert.parity import Stage, compare_stages, first_broken
from points2objects.errors import InputError
from points2objects.geometry import ByteArray
from points2objects.metadata import SPEC_METADATA
from points2objects.spec import ModelSpec
from points2objects.tensors import OutputMap

if TYPE_CHECKING:
    from torch import nn

    from p2o_convert.models import Models

pytestmark = pytest.mark.convert


def _int8(models: "Models") -> bytes:
    return models.tflite["int8"]


def test_every_stage_agrees_with_the_one_before(
    converted: "Models", spec: ModelSpec, images: ByteArray
) -> None:
    from p2o_convert.stages import onnx_predictor, tflite_predictor
    from p2o_train.predictors import torch_predictor

    stages = [
        Stage("torch", torch_predictor(converted.network, spec), 0.0),
        Stage("onnx", onnx_predictor(converted.onnx[0], spec), 1e-5),
        Stage("float32", tflite_predictor(converted.tflite["float32"], spec, 1), 1e-5),
        Stage("int8", tflite_predictor(_int8(converted), spec, 1), 0.1),
    ]
    steps = compare_stages(stages, images[:4])
    assert [step.name for step in steps] == [
        "torch -> onnx",
        "onnx -> float32",
        "float32 -> int8",
    ]
    assert first_broken(steps) is None, steps
    assert all(list(step.heads) == list(spec.outputs) for step in steps)
    # One step of the heat-map is 1/256; a few of them may add up on the way there.
    assert steps[2].heads["heatmap"].largest < 8 / 256


def test_the_float_graph_has_no_padding_and_no_transpose(converted: "Models") -> None:
    found = operators(converted.tflite["float32"])
    assert not {"TRANSPOSE", "RESHAPE"} & set(found)
    # Symmetric padding at stride 2 cannot be said in TFLite; TensorFlow's own can.
    assert found["PAD"] == 2
    assert found["CONV_2D"] + found["DEPTHWISE_CONV_2D"] == 10


def test_int8_is_int8_between_its_ends(converted: "Models", spec: ModelSpec) -> None:
    assert "INT8" not in tensor_types(converted.tflite["float32"])
    throughout = converted.tflite["int8-int8-io"]
    assert "INT8" in tensor_types(throughout)
    assert not float_tensors(throughout)
    assert not {"QUANTIZE", "DEQUANTIZE"} & set(operators(throughout))
    assert len(float_tensors(_int8(converted))) == len(spec.outputs)


def test_int8_scores_have_the_fixed_step_of_the_sigmoid(
    converted: "Models", spec: ModelSpec, images: ByteArray
) -> None:
    from p2o_convert.stages import tflite_predictor

    throughout = converted.tflite["int8-int8-io"]
    heatmap = tflite_predictor(throughout, spec, 1)(images[0])["heatmap"]
    assert isinstance(heatmap, OutputMap)
    assert (heatmap.scale, heatmap.zero_point) == (1 / 256, -128)


def test_int8_input_holds_black_and_white(converted: "Models", spec: ModelSpec) -> None:
    from ai_edge_litert.interpreter import Interpreter

    from p2o_convert.quiet import quiet

    with quiet("interpreter"):
        interpreter = Interpreter(model_content=_int8(converted))
    (details,) = interpreter.get_input_details()
    scale, zero_point = details["quantization"]
    low, high = (np.array([0, 255]) - zero_point) * scale
    assert low == pytest.approx(min(-m / s for m, s in zip(spec.mean, spec.std, strict=True)), 1e-2)
    assert high == pytest.approx(
        max((255 - m) / s for m, s in zip(spec.mean, spec.std, strict=True)), 1e-2
    )


def test_float_io_keeps_float_at_the_border_only(
    converted: "Models", spec: ModelSpec, images: ByteArray
) -> None:
    from p2o_convert.stages import tflite_predictor

    tflite = converted.tflite["int8-float-io"]
    assert "INT8" in tensor_types(tflite)
    maps = tflite_predictor(tflite, spec, 1)(images[0])
    made = [output for output in maps.values() if isinstance(output, OutputMap)]
    assert len(made) == len(spec.outputs)
    assert {output.values.dtype for output in made} == {np.dtype(np.float32)}
    twin = tflite_predictor(converted.tflite["int8-int8-io"], spec, 1)(images[0])
    for name, output in maps.items():
        other = twin[name]
        assert isinstance(other, OutputMap)
        assert np.abs(output.real() - other.real()).max() <= 1.01 * other.scale


def test_the_spec_comes_back_out_of_the_file(converted: "Models", spec: ModelSpec) -> None:
    from ai_edge_litert import schema_py_generated as schema

    for tflite in converted.tflite.values():
        assert read_spec(tflite) == spec
        model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAs(tflite, 0))
        assert [entry.name for entry in model.metadata] == [SPEC_METADATA.encode()]
        # All weights lie inside the flatbuffer, where any reader finds them.
        assert all(buffer.offset <= 1 for buffer in model.buffers)


def test_tensors_of_any_converter_get_the_signature_s_names_and_order(
    converted: "Models", spec: ModelSpec
) -> None:
    """TensorFlow has its own names, and sorts; ranges are looked up by name."""
    model = unpack(converted.tflite["float32"])
    graph, (signature,) = model.subgraphs[0], model.signatureDefs
    signature.outputs.sort(key=lambda entry: entry.name)
    graph.outputs = [entry.tensorIndex for entry in signature.outputs]
    graph.tensors[graph.inputs[0]].name = b"serving_default_image:0"
    for number, index in enumerate(graph.outputs):
        graph.tensors[index].name = f"StatefulPartitionedCall:{number}".encode()
    put_right = unpack(order_outputs(pack(model), spec.outputs)).subgraphs[0]
    names = [put_right.tensors[i].name.decode() for i in (*put_right.inputs, *put_right.outputs)]
    assert names == ["image", *spec.outputs]


def test_a_new_spec_replaces_the_old_one(converted: "Models", spec: ModelSpec) -> None:
    from dataclasses import replace

    renamed = replace(spec, name="other")
    assert read_spec(embed_spec(_int8(converted), renamed)) == renamed


def test_conversion_leaves_the_working_folder_and_the_terminal_alone(
    converted: "Models", tmp_path: Path
) -> None:
    """The converter runs in a process of its own, so ask for one here too."""
    script = (
        "import sys; from pathlib import Path\n"
        "from p2o_convert.tflite_export import export_tflite\n"
        "from p2o_convert.flatbuffer import read_spec\n"
        "spec = read_spec(Path(sys.argv[2]).read_bytes())\n"
        "export_tflite(Path(sys.argv[1]), spec)\n"
    )
    model = tmp_path / "model.tflite"
    model.write_bytes(converted.tflite["float32"])
    work = tmp_path / "work"
    work.mkdir()
    before = converted.onnx[0].read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", script, str(converted.onnx[0]), str(model)],
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(work.iterdir()) == []
    assert converted.onnx[0].read_bytes() == before


def test_a_converter_that_is_not_installed_is_named(
    converted: "Models", spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from p2o_convert import tflite_export

    monkeypatch.setattr(tflite_export, "ROOT", tmp_path)
    with pytest.raises(InputError, match=r"\.venv-onnx-tf is missing; run make onnx-tf"):
        tflite_export.export_tflite(converted.onnx[0], spec, "onnx-tf")


def test_the_older_onnx_is_the_same_network(
    converted: "Models", spec: ModelSpec, images: ByteArray, tmp_path: Path
) -> None:
    import shutil

    from p2o_convert.onnx_export import downgrade, load_onnx
    from p2o_convert.stages import onnx_predictor

    older = tmp_path / "model.onnx"
    shutil.copyfile(converted.onnx[0], older)
    downgrade(older)
    (opset,) = load_onnx(older).opset_import
    assert opset.version == 17
    stages = [Stage(str(p), onnx_predictor(p, spec), 1e-6) for p in (converted.onnx[0], older)]
    assert first_broken(compare_stages(stages, images[:2])) is None


def test_an_onnx_file_says_nothing_of_where_it_was_made(converted: "Models") -> None:
    from p2o_convert.onnx_export import load_onnx

    data = converted.onnx[0].read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in data
    names = [node.name for node in load_onnx(converted.onnx[0]).graph.node]
    assert {"norm", "wide", "heads.rotation"} <= set(names)
    assert len(set(names)) == len(names)


def test_a_damaged_onnx_is_named(tmp_path: Path, spec: ModelSpec, converted: "Models") -> None:
    from p2o_convert.stages import file_predictor

    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"not a model at all")
    with pytest.raises(InputError, match=r"model\.onnx: not a readable ONNX file"):
        file_predictor(broken, spec, 1)
    broken.write_bytes(converted.onnx[0].read_bytes()[:-500])
    with pytest.raises(InputError, match=r"model\.onnx: not a readable ONNX file"):
        file_predictor(broken, spec, 1)


def test_a_model_of_another_database_is_refused(
    tmp_path: Path, spec: ModelSpec, converted: "Models"
) -> None:
    from dataclasses import replace

    from p2o_convert.stages import file_predictor

    path = tmp_path / "model.tflite"
    path.write_bytes(
        embed_spec(converted.tflite["float32"], replace(spec, shapedb_digest="cd" * 32))
    )
    with pytest.raises(InputError, match="made for another model"):
        file_predictor(path, spec, 1)
    path.write_bytes(b"no flatbuffer")
    with pytest.raises(InputError, match="not a TFLite"):
        file_predictor(path, spec, 1)


def test_a_wrong_network_is_named_at_its_stage(
    converted: "Models", spec: ModelSpec, images: ByteArray, network: "nn.Module"
) -> None:
    import copy

    import torch

    from p2o_convert.stages import onnx_predictor, tflite_predictor
    from p2o_train.predictors import torch_predictor

    other = copy.deepcopy(network)
    with torch.no_grad():
        other.get_parameter("heads.scale.bias").add_(1.0)
    stages = [
        Stage("torch", torch_predictor(other, spec), 0.0),
        Stage("onnx", onnx_predictor(converted.onnx[0], spec), 1e-3),
        Stage("float32", tflite_predictor(converted.tflite["float32"], spec, 1), 1e-3),
    ]
    broken = first_broken(compare_stages(stages, images[:2]))
    assert broken is not None
    assert broken.name == "torch -> onnx"
    assert broken.broken == ["scale"]
