"""Checkpoint to bundle: every stage, its proof, and the files."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from p2o_convert.calibration import Calibration, from_dataset, from_folder, spread
from p2o_convert.card import model_card
from p2o_convert.config import ConvertConfig
from p2o_convert.errors import ConversionError
from p2o_convert.fingerprint import fingerprint, versions
from p2o_convert.flatbuffer import operators
from p2o_convert.onnx_export import export_onnx
from p2o_convert.parity import Stage, Step, compare_stages, first_broken
from p2o_convert.quantise import quantise
from p2o_convert.report import ConversionReport, verdict
from p2o_convert.stages import onnx_predictor, tflite_predictor
from p2o_convert.tflite_export import export_tflite
from p2o_shapedb.command import atomic_path
from p2o_shapedb.database import ShapeDB
from p2o_train.data.rendered import RenderedDataset
from p2o_train.data.sample import Sample
from p2o_train.evaluation import evaluate
from p2o_train.predictors import torch_predictor
from points2objects.bundle import EXEMPLARS, write_bundle
from points2objects.errors import BundleError
from points2objects.spec import ModelSpec

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Models:
    """The model in all its forms.

    Attributes:
        network: The torch network, in eval mode.
        spec: Its contract.
        onnx: File.
        float32: TFLite.
        int8: TFLite; None when stopped at float.
    """

    network: nn.Module
    spec: ModelSpec
    onnx: Path
    float32: bytes
    int8: bytes | None

    @property
    def tflite(self) -> dict[str, bytes]:
        """Every TFLite stage, name -> file."""
        return {"float32": self.float32} | ({"int8": self.int8} if self.int8 is not None else {})

    @property
    def shipped(self) -> bytes:
        """The one that goes into the bundle."""
        return self.float32 if self.int8 is None else self.int8


def convert(config: ConvertConfig) -> ConversionReport:
    """Run the whole conversion and write the bundle and the files of each stage.

    Raises:
        InputError: Something it was given is missing or of another kind.
        BundleError: Run and database do not belong together.
        ConversionError: A step broke its limit; the report then lies beside where the bundle
            would have been.
    """
    from p2o_shapedb.pack import write_pack
    from p2o_train.checkpoint import load_network

    digest = fingerprint(config)
    run = load_network(config.run)
    spec = bundle_spec(config, run.spec)
    shapedb = load_matching_database(config.shapedb, spec)
    calibration = load_calibration(config, shapedb, spec)
    validation = load_validation(config, shapedb)
    stages_folder = config.out.with_name(config.out.name + ".stages")
    with atomic_path(stages_folder, overwrite=True) as folder:
        folder.mkdir()
        write_pack(shapedb, folder / EXEMPLARS)
        models = make_models(config, run.network, spec, calibration, folder)
        steps = measure_steps(config, models, calibration)
        scores = {} if first_broken(steps) else score(config, models, shapedb, validation)
        report = ConversionReport(
            model=spec.name,
            steps=tuple(steps),
            sizes={"onnx": models.onnx.stat().st_size}
            | {name: len(tflite) for name, tflite in models.tflite.items()},
            operators={name: operators(tflite) for name, tflite in models.tflite.items()},
            scores=scores,
            scored_images=len(validation) if scores else 0,
            calibration=calibration.source,
            parity_images=min(config.parity_images, len(calibration.images)),
            fingerprint=digest,
            versions=versions(),
        )
        write_report(report, folder)
        if first_broken(steps) is None:
            network = run.config.network
            pretrained = network.backbone == "mobile" and network.pretrained
            card = model_card(spec, shapedb, report, pretrained, config.data_note)
            _write_bundle(config, models, folder / EXEMPLARS, card, report)
    if first_broken(steps) is not None:
        raise ConversionError(f"{verdict(report.steps)} See {stages_folder / 'report.md'}")
    return report


def bundle_spec(config: ConvertConfig, spec: ModelSpec) -> ModelSpec:
    """Return the run's contract with the bundle's operating threshold."""
    if config.score_threshold is None:
        return spec
    return replace(spec, score_threshold=config.score_threshold)


def load_matching_database(folder: Path, spec: ModelSpec) -> ShapeDB:
    """Load the shape database of a model.

    Raises:
        BundleError: The model was trained with another one.
    """
    shapedb = ShapeDB.load(folder)
    if shapedb.digest != spec.shapedb_digest:
        raise BundleError(
            f"{folder}: is shape database {shapedb.digest[:8]}, but the run was trained with "
            f"{spec.shapedb_digest[:8]}; pass that one as --shapedb"
        )
    return shapedb


def load_calibration(config: ConvertConfig, shapedb: ShapeDB, spec: ModelSpec) -> Calibration:
    """Load the images that the options name."""
    if config.calibration is not None:
        return from_folder(config.calibration, spec, config.calibration_images)
    return from_dataset(config.dataset, shapedb, spec, config.calibration_images)


def load_validation(config: ConvertConfig, shapedb: ShapeDB) -> list[Sample]:
    """Load the samples that score the models; none when the options ask for none."""
    if config.evaluate == 0:
        return []
    dataset = RenderedDataset(config.dataset, "val", shapedb)
    chosen = spread(len(dataset), len(dataset) if config.evaluate is None else config.evaluate)
    return [dataset[i] for i in chosen]


def make_models(
    config: ConvertConfig,
    network: nn.Module,
    spec: ModelSpec,
    calibration: Calibration,
    folder: Path,
) -> Models:
    """Convert stage by stage, leaving each in `folder`."""
    onnx_path = folder / "model.onnx"
    export_onnx(network, spec, onnx_path)
    float32 = export_tflite(onnx_path, spec)
    (folder / "model_float32.tflite").write_bytes(float32)
    int8 = None
    if not config.float_only:
        int8 = quantise(float32, calibration.images, spec, config.float_io)
        (folder / "model_int8.tflite").write_bytes(int8)
    return Models(network, spec, onnx_path, float32, int8)


def measure_steps(config: ConvertConfig, models: Models, calibration: Calibration) -> list[Step]:
    """Compare every stage with the one before on calibration images."""
    spec = models.spec
    stages = [
        Stage("torch", torch_predictor(models.network, spec), 0.0),
        Stage("onnx", onnx_predictor(models.onnx, spec), config.float_limit),
    ]
    limits = {"float32": config.float_limit, "int8": config.int8_limit}
    for name, tflite in models.tflite.items():
        stages.append(Stage(name, tflite_predictor(tflite, spec, config.threads), limits[name]))
    chosen = spread(len(calibration.images), config.parity_images)
    return compare_stages(stages, calibration.images[chosen])


def score(
    config: ConvertConfig, models: Models, shapedb: ShapeDB, samples: Sequence[Sample]
) -> dict[str, dict[str, Any]]:
    """Evaluate every TFLite stage on the same samples; name -> figures."""
    scores = {}
    for name, tflite in models.tflite.items():
        if not samples:
            break
        log.info("scoring %s on %d validation images", name, len(samples))
        predict = tflite_predictor(tflite, models.spec, config.threads)
        scores[name] = evaluate(predict, models.spec, samples, shapedb, progress=True).to_dict()
    return scores


def write_report(report: ConversionReport, folder: Path) -> None:
    """Write report.json and report.md."""
    (folder / "report.json").write_text(report.to_json() + "\n", encoding="utf-8")
    (folder / "report.md").write_text(report.to_markdown(), encoding="utf-8")


def _write_bundle(
    config: ConvertConfig,
    models: Models,
    exemplars: Path,
    card: str,
    report: ConversionReport,
) -> None:
    extra = {"conversion": json.loads(report.to_json())}
    with atomic_path(config.out, config.overwrite) as folder:
        write_bundle(folder, models.spec, models.shipped, exemplars, card, extra)
        write_report(report, folder)
