"""Checkpoint to bundle: every stage, its proof, and the files."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from p2o_convert.calibration import Calibration, spread
from p2o_convert.card import model_card
from p2o_convert.config import INTEGER_FORMATS, ConvertConfig
from p2o_convert.delegates import readiness
from p2o_convert.ends import describe_ends
from p2o_convert.errors import ConversionError
from p2o_convert.fingerprint import fingerprint, versions
from p2o_convert.flatbuffer import operators
from p2o_convert.inputs import (
    bundle_spec,
    known_sizes,
    load_calibration,
    load_matching_database,
    load_validation,
)
from p2o_convert.layers import LayerError, layer_errors
from p2o_convert.models import Models, make_models
from p2o_convert.parity import Stage, Step, compare_stages, first_broken
from p2o_convert.quantise import check_heads
from p2o_convert.report import ConversionReport, verdict, write_report
from p2o_convert.scoring import Candidate, score_candidates
from p2o_convert.stages import onnx_predictor, tflite_predictor
from p2o_convert.tflite_export import check_route
from p2o_shapedb.command import atomic_path
from p2o_train.predictors import torch_predictor
from points2objects.bundle import EXEMPLARS, write_bundle


def convert(config: ConvertConfig) -> ConversionReport:
    """Run the whole conversion and write the bundle and the files of each stage.

    Raises:
        InputError: Something it was given is missing or of another kind.
        BundleError: Run and database do not belong together.
        ConversionError: A step broke its limit; the report then lies beside where the bundle
            would have been.
    """
    from p2o_shapedb.packing.pack import write_pack
    from p2o_train.checkpoint import load_network

    check_route(config.via)
    digest = fingerprint(config)
    run = load_network(config.run)
    spec = bundle_spec(run.spec, config.score_threshold, config.class_thresholds)
    check_heads(config.quantise.float_heads, spec)
    shapedb = load_matching_database(config.shapedb, spec)
    if config.sizes:
        spec = replace(spec, sizes_m=known_sizes(shapedb))
    calibration = load_calibration(
        config.dataset, config.calibration, config.calibration_images, shapedb, spec
    )
    validation = load_validation(config.dataset, shapedb, config.evaluate)
    stages_folder = config.out.with_name(config.out.name + ".stages")
    with atomic_path(stages_folder, overwrite=True) as folder:
        folder.mkdir()
        write_pack(shapedb, folder / EXEMPLARS)
        models = make_models(config, run.network, spec, calibration.images, folder)
        steps = tuple(measure_steps(config, models, calibration))
        broken = first_broken(steps)
        scores = {}
        if broken is None and validation:
            scores = score_candidates(candidates(config, models), spec, validation, shapedb)
        layers, ranked = ((), "") if broken else rank_layers(config, models, calibration)
        report = ConversionReport(
            model=spec.name,
            shipped=config.shipped,
            options={"converter": config.via, **asdict(config.quantise)},
            steps=steps,
            sizes={path.stem.removeprefix("model_"): path.stat().st_size for path in models.onnx}
            | {name: len(tflite) for name, tflite in models.tflite.items()},
            operators={name: operators(tflite) for name, tflite in models.tflite.items()},
            ends={name: describe_ends(tflite, spec) for name, tflite in models.tflite.items()},
            scores=scores,
            scored_images=len(validation) if scores else 0,
            calibration=calibration.source,
            parity_images=min(config.parity_images, len(calibration.images)),
            layers=layers,
            ranked=ranked,
            delegates={name: readiness(tflite) for name, tflite in models.tflite.items()},
            fingerprint=digest,
            versions=versions(),
        )
        write_report(report, folder)
        if broken is None:
            network = run.config.network
            pretrained = network.backbone == "mobile" and network.pretrained
            card = model_card(spec, shapedb, report, pretrained, config.data_note, config.licence)
            _write_bundle(config, models, folder / EXEMPLARS, card, report)
    if broken is not None:
        raise ConversionError(f"{verdict(report.steps)} See {stages_folder / 'report.md'}")
    return report


def measure_steps(config: ConvertConfig, models: Models, calibration: Calibration) -> list[Step]:
    """Compare every stage with the one it was made of, on calibration images."""
    spec = models.spec
    stages = [Stage("torch", torch_predictor(models.network, spec), 0.0)]
    for path in models.onnx:
        name = path.stem.removeprefix("model_").replace("model", "onnx")
        stages.append(Stage(name, onnx_predictor(path, spec), config.float_limit))
    for name, tflite in models.tflite.items():
        source = "" if name == "float32" else "float32"
        predict = tflite_predictor(tflite, spec, config.threads)
        stages.append(Stage(name, predict, config.limit(name), source))
    chosen = spread(len(calibration.images), config.parity_images)
    return compare_stages(stages, calibration.images[chosen])


def candidates(config: ConvertConfig, models: Models) -> list[Candidate]:
    """List what to score: the formats, after the network they are judged by.

    Fine-tuning changes the float model too, so then all are compared with the network as it came.
    """
    listed = [
        Candidate(name, tflite_predictor(tflite, models.spec, config.threads))
        for name, tflite in models.tflite.items()
    ]
    if models.untuned is not None:
        listed.insert(0, Candidate("untuned", torch_predictor(models.untuned, models.spec)))
    return listed


def rank_layers(
    config: ConvertConfig, models: Models, calibration: Calibration
) -> tuple[tuple[LayerError, ...], str]:
    """Compare the layers of the shipped or else the first integer format; return its name too."""
    names = [name for name in (config.shipped, *config.formats) if name in INTEGER_FORMATS]
    if not names or config.layer_images == 0:
        return (), ""
    images = calibration.images[spread(len(calibration.images), config.layer_images)]
    tflite = models.tflite
    return layer_errors(tflite["float32"], tflite[names[0]], images, models.spec), names[0]


def _write_bundle(
    config: ConvertConfig,
    models: Models,
    exemplars: Path,
    card: str,
    report: ConversionReport,
) -> None:
    extra: dict[str, Any] = {"conversion": json.loads(report.to_json())}
    with atomic_path(config.out, config.overwrite) as folder:
        write_bundle(folder, models.spec, models.tflite[config.shipped], exemplars, card, extra)
        write_report(report, folder)
