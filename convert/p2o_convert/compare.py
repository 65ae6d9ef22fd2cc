"""Check artefacts that exist already against the checkpoint they claim to come from."""

from pathlib import Path

from p2o_convert.calibration import from_dataset, from_folder
from p2o_convert.config import CompareConfig, ConvertConfig
from p2o_convert.flatbuffer import is_quantised
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
    for path in stage_files(config):
        predict = file_predictor(path, spec, config.threads)
        stages.append(Stage(path.name, predict, _limit(path)))
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
    quantised = path.suffix == ".tflite" and is_quantised(path.read_bytes())
    return ConvertConfig.int8_limit if quantised else ConvertConfig.float_limit
