"""The options and the body of `convert/benchmark.py`: size, speed and task figures per format."""

import hashlib
import json
import platform
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from p2o_convert.errors import ConversionError
from points2objects.errors import InputError

if TYPE_CHECKING:
    from torch import nn

    from p2o_convert.timing import Timing
    from p2o_train.predictors import Predictor
    from points2objects.spec import ModelSpec

CALIBRATION_IMAGES = 64
"""For the formats that --onnx-tf makes on the way."""


@dataclass(frozen=True)
class BenchmarkConfig:
    """Options of `convert/benchmark.py`."""

    source: tyro.conf.Positional[Path]
    """Bundle, or folder of stages; those beside a bundle, NAME.stages, are timed too."""
    run: Path | None = None
    """The run it was made from: adds torch, and ONNX and float32 if the stages lack them."""
    out: Path = Path("build/bench/formats.json")
    """Figures to write, and beside them the same as a page (.md); older ones are replaced."""
    evaluate: int = 0
    """Validation images to score every format on; 0 leaves the task's figures out."""
    shapedb: Path = Path("shapedb")
    """Shape database that the model was trained with."""
    dataset: Path = Path("dataset")
    """Dataset whose val split scores, and whose train split calibrates for --onnx-tf."""
    score_threshold: float | None = None
    """Least score of an object, 0..1; the model's own by default."""
    repeats: int = 100
    """Timed images per format; 0 leaves speed out."""
    threads: tuple[int, ...] = (1, 2)
    """CPU threads, one table each."""
    onnx_tf: bool = False
    """Also convert with the archived onnx-tf (`make onnx-tf`), to float32 and int8."""
    fail_below: tuple[str, ...] = ()
    """Fail if the shipped format is worse than this: FIGURE=VALUE, such as map50=0.40."""
    verbose: bool = False
    """Show what the converters print, and tracebacks."""

    def __post_init__(self) -> None:
        if self.evaluate < 0 or self.repeats < 0:
            raise InputError("--evaluate and --repeats must not be negative")
        if not self.threads or min(self.threads) < 1:
            raise InputError(f"--threads must be at least 1, got {list(self.threads)}")
        if self.fail_below and not self.evaluate:
            raise InputError("--fail-below needs figures; add --evaluate with a number of images")
        if self.onnx_tf and self.run is None:
            raise InputError("--onnx-tf converts a run; add --run")
        self.limits()

    def limits(self) -> dict[str, float]:
        """Return --fail-below as figure -> least value.

        Raises:
            InputError: One is not FIGURE=VALUE.
        """
        found = {}
        for item in self.fail_below:
            name, _, value = item.partition("=")
            try:
                found[name] = float(value)
            except ValueError:
                raise InputError(
                    f"--fail-below: expected FIGURE=VALUE such as map50=0.40, got {item!r}"
                ) from None
        return found


@dataclass(frozen=True)
class Contender:
    """One form of the network.

    Attributes:
        name: "torch", "onnx", "float32", ...
        model: The torch network, or a file.
    """

    name: str
    model: "nn.Module | Path"

    def predictor(self, spec: "ModelSpec", threads: int) -> "Predictor":
        """Load it for so many threads."""
        from p2o_convert.stages import onnx_predictor, tflite_predictor
        from p2o_train.predictors import torch_predictor
        from points2objects.bundle import MOST_MODEL_BYTES
        from points2objects.files import read_file
        from points2objects.trial import try_model

        if not isinstance(self.model, Path):
            return torch_predictor(self.model, spec)
        if self.model.suffix == ".onnx":
            return onnx_predictor(self.model, spec, threads)
        tflite = read_file(self.model, MOST_MODEL_BYTES)
        try_model(tflite, spec)
        return tflite_predictor(tflite, spec, threads)


@dataclass(frozen=True)
class Contest:
    """What is compared.

    Attributes:
        spec: The model's contract.
        shipped: Name of the contender that ships.
        contenders: In the order of the tables.
    """

    spec: "ModelSpec"
    shipped: str
    contenders: tuple[Contender, ...]


@dataclass(frozen=True)
class BenchmarkReport:
    """Everything the benchmark measured.

    Attributes:
        model: The spec's name.
        shipped: Name of the format that ships.
        bytes: Size of each file.
        sha256: Of each file.
        timings: Per format, one per number of threads.
        scores: Per format, the figures of `p2o_convert.scoring`.
        images: How many the figures are from.
        repeats: Timed images per format.
        machine: Processor with cores and features, system, and whether it has 8-bit dot products.
        versions: Of the tools.
    """

    model: str
    shipped: str
    bytes: dict[str, int]
    sha256: dict[str, str]
    timings: dict[str, list["Timing"]]
    scores: dict[str, dict[str, Any]]
    images: int
    repeats: int
    machine: dict[str, Any]
    versions: dict[str, str]
    failures: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        """Serialise; NaN becomes null."""
        from p2o_convert.report import plain

        return json.dumps(plain(asdict(self)), indent=1, allow_nan=False) + "\n"


def benchmark(config: BenchmarkConfig) -> str:
    """Measure everything, write both files, and return the page.

    Raises:
        InputError: The source is no bundle and no folder of stages, or --fail-below names a figure
            that there is none of.
        ConversionError: The shipped format is worse than --fail-below allows; the files are there.
    """
    from p2o_convert.benchmark_page import page
    from p2o_shapedb.command import atomic_path

    with tempfile.TemporaryDirectory(prefix="p2o-bench-") as scratch:
        contest = gather(config, Path(scratch))
        report = measure(config, contest)
    text = page(report)
    for path, content in ((config.out, report.to_json()), (config.out.with_suffix(".md"), text)):
        with atomic_path(path, overwrite=True) as temporary:
            temporary.write_text(content, encoding="utf-8")
    if report.failures:
        raise ConversionError("; ".join(report.failures))
    return text


def gather(config: BenchmarkConfig, scratch: Path) -> Contest:
    """Find the contenders, and make those that are asked for and missing."""
    from p2o_convert.gather import find_files, make_missing
    from p2o_convert.inputs import bundle_spec

    found = find_files(config.source)
    spec = bundle_spec(found.spec, config.score_threshold)
    contenders = [Contender(name, path) for name, path in found.files.items()]
    if config.run is not None:
        network, made = make_missing(config.run, found, scratch, config)
        names = [contender.name for contender in contenders]
        extra = [Contender(name, path) for name, path in made.items() if name not in names]
        contenders = [Contender("torch", network), *contenders, *extra]
    order = {name: i for i, name in enumerate(("torch", "onnx", "equalised", "float32"))}
    contenders.sort(key=lambda contender: order.get(contender.name, len(order)))
    return Contest(spec, found.shipped, tuple(contenders))


def measure(config: BenchmarkConfig, contest: Contest) -> BenchmarkReport:
    """Time and score the contenders."""
    import numpy as np
    import torch

    from p2o_convert.fingerprint import versions
    from p2o_convert.inputs import load_matching_database, load_validation
    from p2o_convert.scoring import Candidate, score_candidates
    from p2o_convert.timing import time_predictors
    from p2o_train.processor import read_processor

    spec, processor = contest.spec, read_processor()
    files = {c.name: c.model for c in contest.contenders if isinstance(c.model, Path)}
    side = spec.input_size
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    timings: dict[str, list[Timing]] = {c.name: [] for c in contest.contenders}
    for threads in config.threads if config.repeats else ():
        torch.set_num_threads(threads)
        predictors = {c.name: c.predictor(spec, threads) for c in contest.contenders}
        for name, timing in time_predictors(
            predictors, image, spec, threads, config.repeats
        ).items():
            timings[name].append(timing)
    scores: dict[str, dict[str, Any]] = {}
    images = 0
    if config.evaluate:
        shapedb = load_matching_database(config.shapedb, spec)
        samples = load_validation(config.dataset, shapedb, config.evaluate)
        listed = [
            Candidate(c.name, c.predictor(spec, max(config.threads))) for c in contest.contenders
        ]
        scores, images = score_candidates(listed, spec, samples, shapedb), len(samples)
    return BenchmarkReport(
        model=spec.name,
        shipped=contest.shipped,
        bytes={name: path.stat().st_size for name, path in files.items()},
        sha256={n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in files.items()},
        timings=timings,
        scores=scores,
        images=images,
        repeats=config.repeats,
        machine={
            "processor": str(processor),
            "system": platform.platform(),
            "int8_dot_products": processor.has_int8_dot,
        },
        versions=versions(),
        failures=find_failures(config.limits(), contest.shipped, scores),
    )


def find_failures(
    limits: dict[str, float], shipped: str, scores: dict[str, dict[str, Any]]
) -> list[str]:
    """Name the figures of the shipped format that are below what they should be.

    Raises:
        InputError: There is no such figure.
    """
    from p2o_convert.report import flat_figures

    figures = dict(flat_figures(scores.get(shipped, {})))
    unknown = sorted(set(limits) - set(figures))
    if unknown:
        raise InputError(
            f"--fail-below: no figure {unknown[0]!r} of {shipped}; it has {', '.join(figures)}"
        )
    return [
        f"{name} of {shipped} is {figures[name]:.4g}, below {least:g}"
        for name, least in limits.items()
        if not figures[name] >= least
    ]
