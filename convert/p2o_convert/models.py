"""The model in all its forms, each made of the one before."""

import logging
from dataclasses import dataclass
from pathlib import Path

import onnx
from torch import nn

from p2o_convert.calibration import spread
from p2o_convert.config import INTEGER_FORMATS, ConvertConfig, QuantiseConfig, Route
from p2o_convert.equalise import equalise
from p2o_convert.onnx_export import export_onnx, load_onnx
from p2o_convert.quantise import make_format
from p2o_convert.ranges import measure, ranges
from p2o_convert.rounding import round_weights
from p2o_convert.sparse import cut_heads
from p2o_convert.tflite_export import export_tflite
from points2objects.geometry import ByteArray
from points2objects.spec import ModelSpec

log = logging.getLogger(__name__)

WATCHED_IMAGES = 64
"""So many calibration images are enough to see how a layer's inputs and channels are spread."""


@dataclass(frozen=True)
class Models:
    """The model in all its forms.

    Attributes:
        network: The torch network that was exported, in eval mode.
        untuned: The network as trained, if it was fine-tuned before the export.
        spec: Its contract.
        onnx: Files, in order: as exported and, if so, equalised.
        tflite: Format -> file, float32 first.
    """

    network: nn.Module
    untuned: nn.Module | None
    spec: ModelSpec
    onnx: tuple[Path, ...]
    tflite: dict[str, bytes]


@dataclass(frozen=True)
class FloatModel:
    """The model before anything is quantised.

    Attributes:
        network: The torch network that was exported: fine-tuned, or as it came.
        onnx: Files, in order: as exported and, if so, equalised.
        tflite: float32.
    """

    network: nn.Module
    onnx: tuple[Path, ...]
    tflite: bytes


def make_models(
    config: ConvertConfig, network: nn.Module, spec: ModelSpec, images: ByteArray, folder: Path
) -> Models:
    """Convert stage by stage, leaving each in `folder`.

    Args:
        config: Formats, route and how to quantise.
        network: As trained, in eval mode.
        spec: Its contract.
        images: Canonical views to calibrate with, (n, s, s, 3), RGB.
        folder: For the files.
    """
    float32 = export_float32(network, spec, images, config.quantise, folder, config.via)
    tflite = make_formats(config.formats, float32.tflite, images, spec, config.quantise)
    for name, data in tflite.items():
        (folder / f"model_{name}.tflite").write_bytes(data)
    untuned = None if float32.network is network else network
    return Models(float32.network, untuned, spec, float32.onnx, tflite)


def export_float32(
    network: nn.Module,
    spec: ModelSpec,
    images: ByteArray,
    options: QuantiseConfig,
    folder: Path,
    via: Route = "onnx2tf",
) -> FloatModel:
    """Fine-tune and equalise as the options say, and export; the ONNX files go to `folder`."""
    tuned = network
    if options.qat_steps:
        from p2o_convert.qat import fine_tune

        tuned = fine_tune(network, images, spec, options)
    paths = [folder / "model.onnx"]
    export_onnx(tuned, spec, paths[0])
    if options.equalise:
        paths.append(folder / "model_equalised.onnx")
        equalised = equalise(load_onnx(paths[0]), _watched(images), spec)
        onnx.save(equalised, str(paths[1]))
    return FloatModel(tuned, tuple(paths), export_tflite(paths[-1], spec, via))


def make_formats(
    names: tuple[str, ...],
    float32: bytes,
    images: ByteArray,
    spec: ModelSpec,
    options: QuantiseConfig,
) -> dict[str, bytes]:
    """Make every format asked for of the float32 file, without its heads if so; name -> file."""
    if options.heads == "sparse":
        float32 = cut_heads(float32, spec)
    chosen = {}
    if set(names) & set(INTEGER_FORMATS):
        measured = measure(float32, images, spec)
        chosen = ranges(measured, spec, options.calibration_method, options.percentile)
    rounded = None
    if options.rounding == "least-squares" and set(names) & {*INTEGER_FORMATS, "dynamic"}:
        rounded = round_weights(float32, _watched(images), spec)
    return {name: make_format(name, float32, chosen, spec, options, rounded) for name in names}


def _watched(images: ByteArray) -> ByteArray:
    return images[spread(len(images), WATCHED_IMAGES)]
