"""How well a network finds what is in labelled photographs, beside detectors of other people."""

import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from points2objects.errors import InputError

if TYPE_CHECKING:
    from p2o_train.data.photos2d import PhotoDataset
    from p2o_train.photo_detector import PhotoDetector
    from p2o_train.photo_scores import Judged, PhotoScores
    from p2o_train.yardsticks import Yardstick
    from points2objects.camera import Camera
    from points2objects.geometry import ByteArray

log = logging.getLogger(__name__)

LOG_EVERY_S = 60.0
OURS = "points2objects"
YARDSTICK_SHOWN = 0.4
"""Score from which on the detectors of other people show what they found; ours have their own."""

Results = Mapping[str, Mapping[str, "PhotoScores"]]
"""Of each detector, on the photographs of each source and on "all"."""


@dataclass(frozen=True)
class EvaluatePhotosConfig:
    """Options of `evaluate_photos.py`."""

    model: Annotated[Path | None, tyro.conf.Positional] = None
    """Bundle, folder of a training run, or .tflite file; the shipped bundle by default."""
    photos: Path = Path("photos")
    """Folder with labels.json; see docs/photographs.md."""
    split: Literal["val", "train"] = "val"
    """Which of its photographs."""
    exemplars: Path | None = None
    """exemplars.glb of the model's shape database; a bundle has its own."""
    scales: tuple[float, ...] = (1.0,)
    """Looks at each photograph, by how much each enlarges it."""
    fov_deg: float = 65.0
    """Field of view across the longer side, where the picture's EXIF data does not say."""
    yardsticks: Path | None = None
    """Folder of detectors to compare with: yolox_nano.onnx, picodet_s_416.onnx,
    nanodet-plus-m_416.bin (needs ncnn), ssd_oidv4.tflite."""
    limit: int | None = None
    """Only so many photographs, spread over the split."""
    least: float = 0.01
    """Least score that counts in average precision."""
    threads: int = 1
    """Threads of our network."""
    out: Path | None = None
    """Also write all figures to this JSON file."""
    overwrite: bool = False
    """Replace that file."""
    verbose: bool = False
    """Show where a failure happened."""

    def __post_init__(self) -> None:
        if not 1 < self.fov_deg < 179:
            raise InputError(f"--fov-deg must be in 1..179, got {self.fov_deg}")
        if not 0 <= self.least < 1:
            raise InputError(f"--least must be in 0..1, got {self.least}")
        if self.limit is not None and self.limit < 1:
            raise InputError(f"--limit must be at least 1, got {self.limit}")
        if self.threads < 1:
            raise InputError(f"--threads must be at least 1, got {self.threads}")


def evaluate_photos(config: EvaluatePhotosConfig) -> None:
    """Print a table of each detector on each source of photographs."""
    from p2o_shapedb.command import atomic_path, refuse_existing
    from p2o_train.data.photos2d import PhotoDataset
    from p2o_train.photo_detector import PhotoDetector
    from p2o_train.yardsticks import load_yardsticks
    from points2objects.bundle import DEFAULT_BUNDLE

    if config.out is not None:
        refuse_existing(config.out, config.overwrite)
    path = config.model or DEFAULT_BUNDLE
    ours = PhotoDetector.load(path, config.exemplars, config.scales, config.least, config.threads)
    classes = ours.predictor.spec.classes
    dataset = PhotoDataset(config.photos, classes, config.split)
    others = load_yardsticks(config.yardsticks) if config.yardsticks is not None else []
    judged = _judge_all(config, dataset, ours, others)
    results = {name: _by_source(each, classes) for name, each in judged.items()}
    print(table(results, classes))
    if config.out is not None:
        content = {
            "model": str(path),
            "photos": dataset.record,
            "split": config.split,
            "scales": list(config.scales),
            "fov_deg": config.fov_deg,
            "results": {
                name: {source: asdict(scores) for source, scores in by_source.items()}
                for name, by_source in results.items()
            },
        }
        with atomic_path(config.out, config.overwrite) as temporary:
            temporary.write_text(json.dumps(_finite(content), indent=1), encoding="utf-8")
    count = next(iter(results.values()))["all"].photos
    print(f"\ncompared {len(results)} detectors on {count} photographs of {config.photos}")


def _judge_all(
    config: EvaluatePhotosConfig,
    dataset: "PhotoDataset",
    ours: "PhotoDetector",
    others: "Sequence[Yardstick]",
) -> "dict[str, list[Judged]]":
    """Run every detector once on every photograph."""
    import numpy as np
    from tqdm import tqdm

    from p2o_train.photo_scores import judge

    indices = range(len(dataset))
    if config.limit is not None and config.limit < len(dataset):
        spread = np.linspace(0, len(dataset) - 1, config.limit).round().astype(int)
        indices = spread.tolist()
    classes = dataset.classes
    judged: dict[str, list[Judged]] = {}
    for name in (OURS, *(each.name for each in others)):
        judged[name] = []
    started = said = time.monotonic()
    for count, index in enumerate(tqdm(indices, unit="photo", disable=None), 1):
        sample = dataset[index]
        camera = photo_camera(dataset.root / sample.name, sample.image, config.fov_deg)
        seen = ours.find(sample.image, camera)
        judged[OURS].append(judge(sample, seen.ranked, seen.shown))
        for each in others:
            found = each.find(sample.image, classes, config.least)
            shown = found[found.score >= YARDSTICK_SHOWN]
            judged[each.name].append(judge(sample, found, shown))
        if time.monotonic() - said > LOG_EVERY_S:
            said = time.monotonic()
            log.info("%d of %d photographs in %.0f s", count, len(indices), said - started)
    return judged


def photo_camera(path: Path, image: "ByteArray", fov_deg: float) -> "Camera":
    """Return the camera of a photograph: by its EXIF data, or with an assumed field of view."""
    from points2objects.camera import Camera
    from points2objects.exif import exif_fov_deg

    height, width = image.shape[:2]
    told = exif_fov_deg(path.read_bytes(), width, height)
    return Camera.from_fov(told or fov_deg, width, height)


def _by_source(judged: "Sequence[Judged]", classes: Sequence[str]) -> "dict[str, PhotoScores]":
    from p2o_train.photo_scores import summarise

    sources = sorted({each.source for each in judged})
    parts = {name: [each for each in judged if each.source == name] for name in sources}
    return {name: summarise(part, classes) for name, part in (parts | {"all": judged}).items()}


def table(results: Results, classes: Sequence[str]) -> str:
    """Return a row for each detector on each source; AP50 in percent."""
    titles = ["detector", "photographs", *classes, "mean AP50", "large AP50", "found", "invented",
              "large found", "large invented", "large found at 0.4"]  # fmt: skip
    lines = [f"| {' | '.join(titles)} |", "|---|---" + "|---:" * (len(titles) - 2) + "|"]
    sources = list(next(iter(results.values())))
    if len(sources) == 2:  # Everything is of one source.
        sources = sources[:1]
    for source in sources:
        for name, by_source in results.items():
            lines.append(_row(name, source, by_source[source]))
    return "\n".join(lines)


def _row(name: str, source: str, scores: "PhotoScores") -> str:
    percents = [*scores.ap50.values(), scores.mean_ap50, scores.large_mean_ap50]
    cells = [
        name,
        f"{source} ({scores.photos})",
        *(_shown(value) for value in percents),
        f"{_shown(scores.found)} %",
        f"{scores.invented:.2f}",
        f"{_shown(scores.large_found)} %",
        f"{scores.large_invented:.2f}",
        f"{_shown(scores.large_found_at_few)} %",
    ]
    return f"| {' | '.join(cells)} |"


def _shown(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "-"


def _finite(value: Any) -> Any:
    """Return JSON content with null in place of NaN."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
