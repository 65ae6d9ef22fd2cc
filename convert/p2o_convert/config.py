"""Options of the conversion commands."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from points2objects.errors import InputError

MIN_CALIBRATION_IMAGES = 16


@dataclass(frozen=True)
class ConvertConfig:
    """Options of `convert/to_tflite.py`."""

    run: tyro.conf.Positional[Path]
    """Folder of a training run: checkpoint and spec.json."""
    out: Path
    """Bundle to write. The files of each stage go to a folder beside it, NAME.stages."""
    shapedb: Path = Path("shapedb")
    """Shape database that the model was trained with."""
    dataset: Path = Path("dataset")
    """Dataset whose train split calibrates and whose val split scores."""
    calibration: Path | None = None
    """Folder of your own pictures to calibrate with instead."""
    calibration_images: int = 200
    """Images to calibrate with, evenly spread over what there is."""
    parity_images: int = 32
    """Calibration images to compare the stages on."""
    evaluate: int | None = None
    """Validation images for the scores of both models: all by default, 0 for none."""
    score_threshold: float | None = None
    """Least score of an object, 0..1, that the bundle stands for; the run's own by default."""
    data_note: str = ""
    """A sentence for the model card: what else went into the training pictures, and its licence."""
    float_only: bool = False
    """Stop at float32: the bundle holds the float model."""
    float_io: bool = False
    """Give the int8 model float32 input and outputs."""
    float_limit: float = 1e-3
    """Largest relative L2 error of any head from torch to float TFLite, per step."""
    int8_limit: float = 1.0
    """The same for float to int8; at 1 the error is as large as what the head says."""
    threads: int = 2
    """Threads of the TFLite interpreter."""
    overwrite: bool = False
    """Replace an existing bundle."""
    verbose: bool = False
    """Show what the converters print, and tracebacks."""

    def __post_init__(self) -> None:
        least = MIN_CALIBRATION_IMAGES
        for flag, value, minimum in (
            ("--calibration-images", self.calibration_images, least),
            ("--parity-images", self.parity_images, 1),
            ("--evaluate", self.evaluate if self.evaluate is not None else 0, 0),
            ("--threads", self.threads, 1),
        ):
            if value < minimum:
                raise InputError(f"{flag} must be at least {minimum}, got {value}")
        if self.score_threshold is not None and not 0 <= self.score_threshold < 1:
            raise InputError(f"--score-threshold must be in 0..1, got {self.score_threshold}")
        if self.float_limit <= 0 or self.int8_limit <= 0:
            raise InputError("--float-limit and --int8-limit must be positive")


@dataclass(frozen=True)
class CompareConfig:
    """Options of `convert/compare.py`."""

    artefact: tyro.conf.Positional[Path]
    """Bundle, .tflite or .onnx to check."""
    run: tyro.conf.Positional[Path]
    """Folder of the training run it was made from."""
    via: tuple[Path, ...] = ()
    """Earlier stages, .onnx or .tflite, in order; those in ARTEFACT.stages by default."""
    shapedb: Path = Path("shapedb")
    """Shape database that the model was trained with."""
    dataset: Path = Path("dataset")
    """Dataset whose train split gives the images."""
    calibration: Path | None = None
    """Folder of your own pictures to compare on instead."""
    images: int = 32
    """Images to compare on."""
    threads: int = 2
    """Threads of the TFLite interpreter."""
    verbose: bool = False
    """Show tracebacks."""

    def __post_init__(self) -> None:
        if self.images < MIN_CALIBRATION_IMAGES:
            raise InputError(f"--images must be at least {MIN_CALIBRATION_IMAGES}")
        if self.threads < 1:
            raise InputError(f"--threads must be at least 1, got {self.threads}")
