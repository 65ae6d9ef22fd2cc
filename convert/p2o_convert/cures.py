"""The options and the body of `convert/compare_cures.py`: what each cure of int8 buys."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from p2o_convert.config import MIN_CALIBRATION_IMAGES, QuantiseConfig
from points2objects.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from p2o_convert.parity import Step
    from p2o_convert.timing import Timing
    from points2objects.geometry import ByteArray
    from points2objects.spec import ModelSpec


@dataclass(frozen=True)
class Cure:
    """One way to make an integer model.

    Attributes:
        name: For the table.
        format: One of `FORMATS`.
        options: How.
    """

    name: str
    format: str
    options: QuantiseConfig


PLAIN = QuantiseConfig(rounding="nearest", equalise=False, heads="dense")
BOTH = QuantiseConfig(rounding="least-squares", equalise=True, heads="dense")
POSE_HEADS = ("rotation", "translation", "scale", "gravity")
CURES = (
    Cure("plain", "int8", PLAIN),
    Cure("percentile", "int8", replace(PLAIN, calibration_method="percentile")),
    Cure("mse", "int8", replace(PLAIN, calibration_method="mse")),
    Cure("equalise", "int8", replace(PLAIN, equalise=True)),
    Cure("rounding", "int8", replace(PLAIN, rounding="least-squares")),
    Cure("both", "int8", BOTH),
    Cure("both-mse", "int8", replace(BOTH, calibration_method="mse")),
    Cure("both-float-heatmap", "int8", replace(BOTH, float_heads=("heatmap",))),
    Cure("both-float-exemplar", "int8", replace(BOTH, float_heads=("heatmap", "exemplar"))),
    Cure(
        "both-float-heads", "int8", replace(BOTH, float_heads=("heatmap", "exemplar", *POSE_HEADS))
    ),
    Cure("sparse", "int8", replace(PLAIN, heads="sparse")),
    Cure("both-sparse", "int8", replace(BOTH, heads="sparse")),
    Cure(
        "both-sparse-float-heatmap",
        "int8",
        replace(BOTH, heads="sparse", float_heads=("heatmap",)),
    ),
    Cure("both-16-bit", "int16x8", BOTH),
    Cure("dynamic", "dynamic", PLAIN),
    Cure("float16", "float16", PLAIN),
)


@dataclass(frozen=True)
class CuresConfig:
    """Options of `convert/compare_cures.py`."""

    run: tyro.conf.Positional[Path]
    """Folder of a training run: checkpoint and spec.json."""
    out: Path = Path("build/cures.json")
    """Figures to write, and beside them the same as a page (.md); older ones are replaced."""
    shapedb: Path = Path("shapedb")
    """Shape database that the model was trained with."""
    dataset: Path = Path("dataset")
    """Dataset whose train split calibrates and whose val split scores."""
    calibration: Path | None = None
    """Folder of your own pictures to calibrate with instead."""
    calibration_images: int = 200
    """Images to calibrate with."""
    evaluate: int = 200
    """Validation images to score every combination on."""
    score_threshold: float | None = None
    """Least score of an object, 0..1; the run's own by default."""
    only: tuple[str, ...] = ()
    """Names of the combinations to try; all by default."""
    qat_steps: int = 0
    """Also try so many steps of quantisation-aware fine-tuning, alone and with the other cures."""
    qat_lr: float = 1e-5
    """Its learning rate."""
    repeats: int = 50
    """Timed images per combination, one thread; 0 leaves speed out."""
    verbose: bool = False
    """Show what the converters print, and tracebacks."""

    def __post_init__(self) -> None:
        names = [cure.name for cure in self._all_cures()]
        unknown = [name for name in self.only if name not in names]
        if unknown:
            raise InputError(f"--only: expected {', '.join(names)}, got {unknown[0]!r}")
        if self.evaluate < 1 or self.repeats < 0 or self.qat_steps < 0 or self.qat_lr <= 0:
            raise InputError(
                "--evaluate and --qat-lr must be positive, --repeats and --qat-steps not negative"
            )
        if self.calibration_images < MIN_CALIBRATION_IMAGES:
            raise InputError(f"--calibration-images must be at least {MIN_CALIBRATION_IMAGES}")

    def cures(self) -> list[Cure]:
        """Return what to try."""
        return [cure for cure in self._all_cures() if not self.only or cure.name in self.only]

    def _all_cures(self) -> list[Cure]:
        listed = list(CURES)
        if self.qat_steps:
            for name, options in (("plain-qat", PLAIN), ("both-qat", BOTH)):
                tuned = replace(options, qat_steps=self.qat_steps, qat_lr=self.qat_lr)
                listed.append(Cure(name, "int8", tuned))
        return listed


@dataclass(frozen=True)
class Outcome:
    """What one combination gave.

    Attributes:
        cure: The combination.
        bytes: Size of the file.
        step: Error of every head against the float model.
        scores: Figures of `p2o_convert.scoring`, against float32.
        timing: At one thread; None when speed was left out.
    """

    cure: Cure
    bytes: int
    step: "Step"
    scores: Mapping[str, Any]
    timing: "Timing | None"


def compare_cures(config: CuresConfig) -> str:
    """Try every combination, write both files, and return the page.

    Raises:
        InputError: Something it was given is missing or of another kind.
    """
    import tempfile

    from p2o_convert.cures_page import page
    from p2o_convert.report import plain
    from p2o_shapedb.command import atomic_path

    with tempfile.TemporaryDirectory(prefix="p2o-cures-") as scratch:
        outcomes, float_scores, images = _try_all(config, Path(scratch))
    text = page(outcomes, float_scores, config.run.name, images)
    values = plain({"float32": float_scores, "cures": [asdict(outcome) for outcome in outcomes]})
    content = json.dumps(values, indent=1, allow_nan=False) + "\n"
    for path, written in ((config.out, content), (config.out.with_suffix(".md"), text)):
        with atomic_path(path, overwrite=True) as temporary:
            temporary.write_text(written, encoding="utf-8")
    return text


def _try_all(config: CuresConfig, scratch: Path) -> tuple[list[Outcome], dict[str, Any], int]:
    """Return what each combination gave, the float model's scores, and on how many images."""
    from p2o_convert.inputs import (
        bundle_spec,
        load_calibration,
        load_matching_database,
        load_validation,
    )
    from p2o_convert.parity import Stage, compare_stages
    from p2o_convert.scoring import Candidate, score_candidates
    from p2o_convert.stages import tflite_predictor
    from p2o_convert.timing import time_predictors
    from p2o_train.checkpoint import load_network

    run = load_network(config.run)
    spec = bundle_spec(run.spec, config.score_threshold)
    shapedb = load_matching_database(config.shapedb, spec)
    samples = load_validation(config.dataset, shapedb, config.evaluate)
    images = load_calibration(
        config.dataset, config.calibration, config.calibration_images, shapedb, spec
    ).images
    files = _make_all(config, run.network, spec, images, scratch)
    predictors = {name: tflite_predictor(data, spec, 1) for name, data in files.items()}
    stages = [
        Stage(name, predict, float("inf"), "" if name == "float32" else "float32")
        for name, predict in predictors.items()
    ]
    steps = compare_stages(stages, images[:MIN_CALIBRATION_IMAGES])
    listed = [Candidate(name, predict) for name, predict in predictors.items()]
    scores = score_candidates(listed, spec, samples, shapedb)
    timings: Mapping[str, Timing] = (
        time_predictors(predictors, images[0], spec, 1, config.repeats) if config.repeats else {}
    )
    outcomes = [
        Outcome(cure, len(files[cure.name]), step, scores[cure.name], timings.get(cure.name))
        for cure, step in zip(config.cures(), steps, strict=True)
    ]
    return outcomes, scores["float32"], len(samples)


def _make_all(
    config: CuresConfig,
    network: "nn.Module",
    spec: "ModelSpec",
    images: "ByteArray",
    scratch: Path,
) -> dict[str, bytes]:
    """Make the float model and every combination; what several share is made once."""
    from p2o_convert.models import export_float32, make_formats

    exported: dict[QuantiseConfig, bytes] = {}

    def float32(options: QuantiseConfig) -> bytes:
        # Only these options change the float model.
        key = replace(PLAIN, equalise=options.equalise, qat_steps=options.qat_steps)
        if key not in exported:
            folder = scratch / str(len(exported))
            folder.mkdir()
            exported[key] = export_float32(network, spec, images, options, folder).tflite
        return exported[key]

    files = {"float32": float32(PLAIN)}
    for cure in config.cures():
        made = make_formats((cure.format,), float32(cure.options), images, spec, cure.options)
        files[cure.name] = made[cure.format]
    return files


def front(outcomes: Sequence[Outcome]) -> set[str]:
    """Name the combinations that no other beats in size, speed and mAP@0.5 at once."""

    def cost(outcome: Outcome) -> tuple[float, ...]:
        # Processor time within 5 % is the same: the machine is not that quiet.
        speed = round(outcome.timing.cpu_ms * 20) if outcome.timing else 0
        score = outcome.scores["map50"]
        return outcome.bytes / 1e5 // 1, speed, -(score if score is not None else -1.0)

    costs = {outcome.cure.name: cost(outcome) for outcome in outcomes}
    return {
        name
        for name, mine in costs.items()
        if not any(
            other != mine and all(a <= b for a, b in zip(other, mine, strict=True))
            for other in costs.values()
        )
    }
