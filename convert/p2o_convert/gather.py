"""Find the forms of a model that a conversion left, and make those it did not."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from p2o_convert.config import QuantiseConfig
from p2o_convert.flatbuffer import read_spec, tensor_types
from points2objects.bundle import MANIFEST, MODEL, Bundle
from points2objects.errors import InputError
from points2objects.heads import read_heads
from points2objects.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

    from p2o_convert.benchmark import BenchmarkConfig

PREFIX = "model_"


@dataclass(frozen=True)
class Found:
    """The forms of one model.

    Attributes:
        spec: Its contract.
        shipped: Name of the form that ships.
        files: Name -> file.
    """

    spec: ModelSpec
    shipped: str
    files: Mapping[str, Path]


def find_files(source: Path) -> Found:
    """Look for a bundle with the stages beside it, or for a folder of stages.

    Raises:
        InputError: It is neither.
        BundleError: The bundle is damaged.
    """
    if (source / MANIFEST).is_file():
        bundle = Bundle.load(source)
        noted = bundle.extra.get("conversion")
        shipped = str(noted.get("shipped", "") if isinstance(noted, dict) else "") or (
            "int8" if "INT8" in tensor_types(bundle.model) else "float32"
        )
        stages = _stages(source.with_name(source.name + ".stages"))
        # What is in the bundle counts, whatever the stages hold under its name.
        return Found(bundle.spec, shipped, {**stages, shipped: source / MODEL})
    stages = _stages(source)
    tflite = [path for path in stages.values() if path.suffix == ".tflite"]
    if not tflite:
        raise InputError(
            f"{source}: neither a bundle nor the folder of stages (NAME.stages) that "
            "convert/to_tflite.py leaves beside one"
        )
    report = source / "report.json"
    noted = json.loads(report.read_text(encoding="utf-8")) if report.is_file() else {}
    shipped = str(noted.get("shipped", tflite[-1].stem.removeprefix(PREFIX)))
    return Found(read_spec(tflite[0].read_bytes(), str(tflite[0])), shipped, stages)


def make_missing(
    run: Path, found: Found, scratch: Path, config: "BenchmarkConfig"
) -> "tuple[nn.Module, dict[str, Path]]":
    """Load the network, and export what is missing and asked for; name -> file.

    Raises:
        InputError: The run is of another model.
    """
    from p2o_convert.onnx_export import export_onnx
    from p2o_convert.tflite_export import export_tflite
    from p2o_train.checkpoint import load_network

    loaded = load_network(run)
    own = loaded.spec
    same = replace(
        found.spec, name=own.name, score_threshold=own.score_threshold,
        class_thresholds=own.class_thresholds, sizes_m=own.sizes_m,
    )  # fmt: skip
    if same != loaded.spec:
        raise InputError(
            f"--run {run}: another model ({loaded.spec.name!r}) than {config.source} "
            f"({found.spec.name!r}); pass the run it was made from"
        )
    made: dict[str, Path] = {}
    onnx = found.files.get("onnx", scratch / "model.onnx")
    if not onnx.is_file():
        export_onnx(loaded.network, loaded.spec, onnx)
        made["onnx"] = onnx
    if "float32" not in found.files:
        made["float32"] = scratch / "model_float32.tflite"
        made["float32"].write_bytes(export_tflite(onnx, loaded.spec))
    if config.onnx_tf:
        whole = found.files.get("equalised", onnx)
        made |= _by_onnx_tf(whole, loaded.spec, scratch, config, _options_like(found))
    return loaded.network, made


def _by_onnx_tf(
    onnx: Path, spec: ModelSpec, scratch: Path, config: "BenchmarkConfig", options: QuantiseConfig
) -> dict[str, Path]:
    from p2o_convert.benchmark import CALIBRATION_IMAGES
    from p2o_convert.calibration import from_dataset
    from p2o_convert.inputs import load_matching_database
    from p2o_convert.models import make_formats
    from p2o_convert.tflite_export import export_tflite

    shapedb = load_matching_database(config.shapedb, spec)
    images = from_dataset(config.dataset, shapedb, spec, CALIBRATION_IMAGES).images
    float32 = export_tflite(onnx, spec, "onnx-tf")
    made = {}
    for name, data in make_formats(("float32", "int8"), float32, images, spec, options).items():
        made[f"{name} (onnx-tf)"] = scratch / f"onnx_tf_{name}.tflite"
        made[f"{name} (onnx-tf)"].write_bytes(data)
    return made


def _options_like(found: Found) -> QuantiseConfig:
    """Return options that put the heads where the model at hand has them."""
    sparse = bool(read_heads(found.files[found.shipped].read_bytes(), found.spec))
    return QuantiseConfig(heads="sparse" if sparse else "dense")


def _stages(folder: Path) -> dict[str, Path]:
    names = {"model.onnx": "onnx", "model_equalised.onnx": "equalised"}
    found = {name: folder / file for file, name in names.items() if (folder / file).is_file()}
    tflite = sorted(folder.glob(f"{PREFIX}*.tflite"))
    return found | {path.stem.removeprefix(PREFIX): path for path in tflite}
