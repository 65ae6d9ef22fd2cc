"""Bytes in and floats out: the same numbers to the last bit, and what is said about them."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from p2o_convert.config import QuantiseConfig, RenewConfig
from p2o_convert.ends import (
    describe_ends,
    largest_differences,
    portable_ends,
    read_ends,
)
from p2o_convert.flatbuffer import embed_spec, operators
from p2o_convert.graph import kind_of, pack, unpack
from p2o_convert.quantise import make_format
from p2o_convert.ranges import TensorRange, input_range, measure, ranges
from points2objects.bundle import DEFAULT_BUNDLE, Bundle, write_bundle
from points2objects.errors import BundleError, InputError
from points2objects.geometry import ByteArray
from points2objects.spec import ModelSpec

if TYPE_CHECKING:
    from p2o_convert.models import Models

pytestmark = pytest.mark.convert

ROOT = Path(__file__).parents[2]
DENSE = QuantiseConfig(heads="dense")
GREY = ModelSpec(
    "grey",
    ("mug", "sofa"),
    16,
    "ab" * 32,
    128,
    mean=(127.0, 127.0, 127.0),
    std=(128.0, 128.0, 128.0),
)


@pytest.fixture(scope="module")
def chosen(converted: "Models", spec: ModelSpec, images: ByteArray) -> dict[str, TensorRange]:
    return ranges(measure(converted.tflite["float32"], images, spec), spec)


@pytest.mark.parametrize(
    ("options", "quantize", "dequantize"),
    [
        (DENSE, 1, 6),
        # Float first layers read the bytes themselves; what follows them is made int8 once.
        (replace(DENSE, float_layers=("norm", "do")), 1, 1 + 6),
        # The features of a float head are turned into float for it, the other heads at the end.
        (replace(DENSE, float_heads=("scale",)), 1, 1 + 5),
    ],
    ids=["int8", "float layers", "float head"],
)
def test_ends_change_no_bit_of_any_output(
    converted: "Models",
    spec: ModelSpec,
    images: ByteArray,
    chosen: dict[str, TensorRange],
    options: QuantiseConfig,
    quantize: int,
    dequantize: int,
) -> None:
    throughout, tflite = (
        make_format(name, converted.tflite["float32"], chosen, spec, options)
        for name in ("int8-int8-io", "int8")
    )
    apart = largest_differences(throughout, tflite, images[:4], spec)
    assert apart == dict.fromkeys(spec.outputs, 0.0)
    found = operators(tflite)
    assert (found["QUANTIZE"], found["DEQUANTIZE"]) == (quantize, dequantize)
    assert read_ends(tflite).takes == "uint8"
    assert read_ends(tflite).gives == dict.fromkeys(spec.outputs, "float32")
    assert len(tflite) - len(throughout) < 1000
    assert portable_ends(tflite) == pack(unpack(tflite))


def test_a_difference_is_seen(converted: "Models", spec: ModelSpec, images: ByteArray) -> None:
    apart = largest_differences(
        converted.tflite["float32"], converted.tflite["int8"], images[:1], spec
    )
    assert min(apart.values()) > 0


@pytest.mark.parametrize("name", ["float32", "float16", "dynamic", "int8-float-io", "int16x8"])
def test_float_ends_stay(converted: "Models", name: str) -> None:
    tflite = converted.tflite[name]
    assert read_ends(portable_ends(tflite)) == read_ends(tflite)
    assert read_ends(tflite).takes == "float32"


def test_bytes_go_in_as_they_are_where_the_mean_is_grey(
    converted: "Models", images: ByteArray
) -> None:
    float32 = converted.tflite["float32"]
    found = ranges(measure(float32, images[:2], GREY), GREY)
    tflite = make_format("int8", embed_spec(float32, GREY), found, GREY, DENSE)
    ends = read_ends(tflite)
    assert (ends.takes, ends.scale, ends.zero_point) == ("uint8", 1 / 128, 127)
    assert describe_ends(tflite, GREY) == "in: uint8 RGB, bytes as they are; out: float32"


def test_other_means_are_said(converted: "Models", spec: ModelSpec) -> None:
    said = describe_ends(converted.tflite["int8"], spec)
    assert said.startswith(
        "in: uint8 round((RGB - (123.675, 116.28, 103.53)) / (58.395, 57.12, 57.375) / 0.0186584)"
    )
    assert said.endswith("; out: float32")
    assert describe_ends(converted.tflite["float32"], GREY) == (
        "in: float32 (RGB - 127) / 128; out: float32"
    )
    throughout = describe_ends(converted.tflite["int8-int8-io"], spec)
    assert throughout.startswith("in: int8 round(")
    assert throughout.endswith("; out: int8")


@pytest.mark.parametrize(
    ("mean", "std", "step"),
    [(127.0, 128.0, 1 / 128), (0.0, 255.0, 1 / 255), (127.5, 127.5, 1 / 127.5)],
)
def test_the_input_s_steps_are_the_bytes_where_mean_and_std_are_one(
    mean: float, std: float, step: float
) -> None:
    covered = input_range(replace(GREY, mean=(mean, mean, mean), std=(std, std, std)))
    assert (covered.high - covered.low) / 255 == pytest.approx(step)
    # 0 is a step, so that the quantiser does not move the others.
    assert -covered.low / step == pytest.approx(round(-covered.low / step))
    assert covered.low == pytest.approx(-mean / std, abs=step / 2)


# The bundle that ships, and the one before it: made of each other, byte by byte.


def with_int8_ends(tflite: bytes) -> bytes:
    """Undo `portable_ends` for a model whose first layers and heat-map are float."""
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(tflite)
    graph, (signature,) = model.subgraphs[0], model.signatureDefs
    image = graph.tensors[graph.inputs[0]]
    readers = {kind_of(model, o) for o in graph.operators if graph.inputs[0] in o.inputs}
    assert readers == {"DEQUANTIZE"}, "the default's first layers are float (docs/results.md)"
    image.type = schema.TensorType.INT8
    image.quantization.zeroPoint = [int(image.quantization.zeroPoint[0]) - 128]
    source = {
        int(o.outputs[0]): int(o.inputs[0])
        for o in graph.operators
        if kind_of(model, o) == "DEQUANTIZE"
    }
    for entry in signature.outputs:
        entry.tensorIndex = source.get(int(entry.tensorIndex), int(entry.tensorIndex))
    graph.outputs = [int(entry.tensorIndex) for entry in signature.outputs]
    return pack(model)


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the default bundle as it was with int8 ends."""
    bundle = Bundle.load()
    report = {**bundle.extra["conversion"]}
    report["ends"] = {name: said for name, said in report["ends"].items() if name != "int8"}
    folder = tmp_path_factory.mktemp("older") / "bundle"
    write_bundle(
        folder,
        bundle.spec,
        with_int8_ends(bundle.model),
        DEFAULT_BUNDLE / "exemplars.glb",
        (DEFAULT_BUNDLE / "MODEL_CARD.md")
        .read_text(encoding="utf-8")
        .replace("- format: int8 (int8 inside", "- format: int8 (int8 throughout"),
        {**bundle.extra, "conversion": report},
    )
    return folder


def renew(*options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(ROOT / "convert" / "renew_ends.py"), *options],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_bundle_that_ships_is_the_older_one_renewed(older: Path, tmp_path: Path) -> None:
    folder = tmp_path / "renewed"
    shutil.copytree(older, folder)
    (folder / "notes.txt").write_text("mine")
    done = renew(str(folder), "--out", str(folder), "--overwrite")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        f"wrote {folder} (in: uint8 RGB, bytes as they are; out: float32); all outputs are the same"
    )
    assert (folder / "notes.txt").read_text() == "mine"
    for path in DEFAULT_BUNDLE.iterdir():
        if path.suffix == ".json":
            have, want = (json.loads((f / path.name).read_text()) for f in (folder, DEFAULT_BUNDLE))
            assert have == want, path.name
        else:
            assert (folder / path.name).read_bytes() == path.read_bytes(), path.name


def test_old_and_new_heat_maps_differ_by_nothing(images: ByteArray) -> None:
    new, side = Bundle.load(), Bundle.load().spec.input_size
    pictures = images.repeat(2, 1).repeat(2, 2)
    assert pictures.shape[1] == side
    old = with_int8_ends(new.model)
    assert read_ends(old).takes == read_ends(old).gives["features"] == "int8"
    apart = largest_differences(old, new.model, pictures[:4], new.spec)
    assert apart == dict.fromkeys(new.spec.outputs, 0.0)


def test_what_needs_no_new_ends_is_said(tmp_path: Path) -> None:
    done = renew(str(DEFAULT_BUNDLE), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    (line,) = [s for s in done.stderr.splitlines() if s.startswith("error:")]
    assert "takes uint8 and gives float32, so there are no int8 ends to renew; use it" in line
    assert not (tmp_path / "out").exists()


def test_a_bundle_is_not_replaced_unasked(older: Path) -> None:
    from p2o_convert.renew import renew as renew_bundle

    before = (older / "bundle.json").read_bytes()
    with pytest.raises(InputError, match="exists; add --overwrite to replace it"):
        renew_bundle(RenewConfig(older, older))
    assert (older / "bundle.json").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("no report", "says nothing of its conversion; convert the run again"),
        ("other format", "ships int8-int8-io, and only the ends of int8 are renewed"),
        ("damaged report", r"bundle.json: not the report of a conversion"),
        ("no card", "MODEL_CARD.md: no readable text"),
        ("no model", "model.tflite is missing"),
    ],
)
def test_what_cannot_be_renewed_is_named(
    older: Path, tmp_path: Path, change: str, words: str
) -> None:
    from p2o_convert.renew import renew as renew_bundle

    folder = tmp_path / "bundle"
    shutil.copytree(older, folder)
    bundle = Bundle.load(older)
    report = {**bundle.extra["conversion"]}
    if change == "other format":
        report["shipped"] = "int8-int8-io"
    elif change == "damaged report":
        report["steps"] = 3
    extra = {} if change == "no report" else {"conversion": report}
    pack_path = older / "exemplars.glb"
    write_bundle(folder, bundle.spec, bundle.model, pack_path, "# card\n", extra, overwrite=True)
    if change in ("no card", "no model"):
        (folder / {"no card": "MODEL_CARD.md", "no model": "model.tflite"}[change]).unlink()
    with pytest.raises((InputError, BundleError), match=words):
        renew_bundle(RenewConfig(folder, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
