"""Check artefacts that exist already against the checkpoint they claim to come from."""

import json
from pathlib import Path

from p2o_convert.calibration import from_dataset, from_folder
from p2o_convert.config import CompareConfig, ConvertConfig
from p2o_convert.flatbuffer import tensor_types
from p2o_convert.inputs import load_matching_database
from p2o_convert.parity import Stage, Step, compare_stages
from p2o_convert.stages import file_predictor
from p2o_train.predictors import torch_predictor
from points2objects.bundle import MODEL

STAGE_FILES = ("model.onnx", "model_equalised.onnx", "model_float32.tflite")
"""What `to_tflite.py` leaves beside a bundle, in order."""


def compare(config: CompareConfig) -> tuple[Step, ...]:
    """Run the checkpoint and every stage on the same images, each compared with the one before.

    Raises:
        InputError: A file is missing, damaged or made for another model.
    """
    from p2o_train.checkpoint import load_network

    run = load_network(config.run)
    spec = run.spec
    if config.calibration is not None:
        images = from_folder(config.calibration, spec, config.images)
    else:
        shapedb = load_matching_database(config.shapedb, spec)
        images = from_dataset(config.dataset, shapedb, spec, config.images)
    stages = [Stage("torch", torch_predictor(run.network, spec), 0.0)]
    for number, path in enumerate(stage_files(config)):
        predict = file_predictor(path, spec, config.threads)
        # Fine-tuning changes the weights before the export, so all that can be said is how much.
        tuned = number == 0 and _was_fine_tuned(config.artefact)
        limit = ConvertConfig.int8_limit if tuned else _limit(path)
        stages.append(Stage(path.name, predict, limit))
    return tuple(compare_stages(stages, images.images))


def stage_files(config: CompareConfig) -> list[Path]:
    """Return the files to compare, in the order of the conversion."""
    artefact = config.artefact
    last = artefact / MODEL if artefact.is_dir() else artefact
    via = list(config.via)
    if not via:
        beside = artefact.with_name(artefact.name + ".stages")
        via = [beside / name for name in STAGE_FILES if (beside / name).is_file()]
    return [*via, last]


def _limit(path: Path) -> float:
    types = tensor_types(path.read_bytes()) if path.suffix == ".tflite" else set()
    if "INT8" in types:
        return ConvertConfig.int8_limit
    return ConvertConfig.float16_limit if "FLOAT16" in types else ConvertConfig.float_limit


def _was_fine_tuned(artefact: Path) -> bool:
    try:
        report = json.loads((artefact / "report.json").read_text(encoding="utf-8"))
        return bool(report["options"]["qat_steps"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
