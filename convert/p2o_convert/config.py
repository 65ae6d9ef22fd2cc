"""Options of the conversion commands."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from points2objects.errors import InputError

MIN_CALIBRATION_IMAGES = 16

FORMATS = {
    "float32": "as trained",
    "float16": "weights in half precision, computed in float32",
    "dynamic": "int8 weights, activations quantised as they come",
    "int8": "int8 inside, uint8 input and float32 outputs",
    "int8-float-io": "int8 inside, float32 input and outputs",
    "int8-int8-io": "int8 throughout, input and outputs included",
    "int16x8": "int8 weights, 16-bit activations, float32 input and outputs",
}
"""Every format the converter makes, and what it is."""

INTEGER_FORMATS = ("int8", "int8-float-io", "int8-int8-io", "int16x8")
"""Those whose activations are integers: they need calibration."""

SHIPPED_FIRST = (*INTEGER_FORMATS, "dynamic", "float16", "float32")
"""Of the formats made, the first of these goes into the bundle."""

Method = Literal["minmax", "percentile", "mse"]
"""How an activation's range follows from the values seen: the least and the largest; without a
share of them at either end; or what makes the squared rounding error least."""

Rounding = Literal["least-squares", "nearest"]

Route = Literal["onnx2tf", "onnx-tf"]

HeadPlace = Literal["dense", "sparse"]
"""Where the heads of pose and exemplars run: at every cell in the network, or at the peaks only, in
float, by the runtime."""


@dataclass(frozen=True)
class QuantiseConfig:
    """How integer models are made, and what is done so that they lose less."""

    calibration_method: Method = "minmax"
    """How the range of an activation follows from its values."""
    percentile: float = 99.99
    """For --calibration-method percentile: share of the values to cover, in percent."""
    rounding: Rounding = "least-squares"
    """Round weights so that a layer's output changes least, or each to the nearest step."""
    equalise: bool = True
    """Make the channels of each tensor alike before quantising (cross-layer equalisation)."""
    heads: HeadPlace = "sparse"
    """Run the heads of pose and exemplars in the network, or in float at the peaks only."""
    float_heads: tuple[str, ...] = ()
    """Outputs whose own layers stay float, such as heatmap."""
    float_layers: tuple[str, ...] = ()
    """Layers whose names start so stay float, such as body.backbone.stem."""
    qat_steps: int = 0
    """Steps of quantisation-aware fine-tuning before the export."""
    qat_lr: float = 1e-5
    """Learning rate of the fine-tuning."""

    def __post_init__(self) -> None:
        if not 50 < self.percentile <= 100:
            raise InputError(f"--percentile must be in 50..100, got {self.percentile:g}")
        if self.heads == "sparse" and set(self.float_heads) - {"heatmap"}:
            raise InputError(
                "--float-heads: with --heads sparse only heatmap is left in the network, got "
                f"{' '.join(self.float_heads)}; the others are float already (--heads dense "
                "puts them into the network)"
            )
        if self.qat_steps < 0 or self.qat_lr <= 0:
            raise InputError("--qat-steps must not be negative, and --qat-lr must be positive")


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
    formats: tuple[str, ...] = ("float32", "int8")
    """What to make: float32, float16, dynamic, int8, int8-float-io, int8-int8-io, int16x8, or
    all."""
    ship: str | None = None
    """Format that goes into the bundle; int8 by default, if it is made."""
    quantise: tyro.conf.OmitArgPrefixes[QuantiseConfig] = field(default_factory=QuantiseConfig)
    """How integer models are made."""
    via: Route = "onnx2tf"
    """Converter from ONNX to TFLite; onnx-tf needs `make onnx-tf` once."""
    calibration: Path | None = None
    """Folder of your own pictures to calibrate with instead."""
    calibration_images: int = 200
    """Images to calibrate with, evenly spread over what there is."""
    parity_images: int = 32
    """Calibration images to compare the stages on."""
    layer_images: int = 4
    """Calibration images for the error of each layer; 0 leaves the ranking out."""
    evaluate: int | None = None
    """Validation images for the scores of the formats: all by default, 0 for none."""
    score_threshold: float | None = None
    """Least score of an object, 0..1, that the bundle stands for; the run's own by default."""
    class_thresholds: tuple[str, ...] = ()
    """CLASS=SCORE for classes that need another least score, as in mug=0.4."""
    sizes: bool = True
    """Note the sizes of the CAD models: with a pose, what is far off them is then dropped. Say no
    if the models are not of natural size."""
    data_note: str = ""
    """A sentence for the model card: what else went into the training pictures, and its licence."""
    licence: str = ""
    """Licence of the weights, for the model card."""
    float_limit: float = 1e-4
    """Largest relative L2 error of any head from torch to float TFLite, per step."""
    float16_limit: float = 1e-2
    """The same for float32 to float16."""
    int8_limit: float = 1.0
    """The same for formats with int8 in them; at 1 the error is as large as what the head says."""
    threads: int = 2
    """Threads of the TFLite interpreter."""
    overwrite: bool = False
    """Replace an existing bundle."""
    verbose: bool = False
    """Show what the converters print, and tracebacks."""

    def __post_init__(self) -> None:
        formats = tuple(FORMATS) if "all" in self.formats else self.formats
        check_formats("--formats", formats)
        # Everything is made of the float32 file and compared with it.
        ordered = tuple(name for name in FORMATS if name in {"float32", *formats})
        object.__setattr__(self, "formats", ordered)
        if self.ship is not None and self.ship not in ordered:
            made = " ".join(ordered)
            raise InputError(f"--ship must be one of --formats ({made}), got {self.ship!r}")
        least = MIN_CALIBRATION_IMAGES
        for flag, value, minimum in (
            ("--calibration-images", self.calibration_images, least),
            ("--parity-images", self.parity_images, 1),
            ("--layer-images", self.layer_images, 0),
            ("--evaluate", self.evaluate if self.evaluate is not None else 0, 0),
            ("--threads", self.threads, 1),
        ):
            if value < minimum:
                raise InputError(f"{flag} must be at least {minimum}, got {value}")
        if self.score_threshold is not None and not 0 <= self.score_threshold < 1:
            raise InputError(f"--score-threshold must be in 0..1, got {self.score_threshold}")
        if min(self.float_limit, self.float16_limit, self.int8_limit) <= 0:
            raise InputError("--float-limit, --float16-limit and --int8-limit must be positive")

    @property
    def shipped(self) -> str:
        """The format that goes into the bundle."""
        return self.ship or next(name for name in SHIPPED_FIRST if name in self.formats)

    def limit(self, name: str) -> float:
        """Return the largest relative error allowed for a format against float32."""
        limits = {"float32": self.float_limit, "float16": self.float16_limit}
        return limits.get(name, self.int8_limit)


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


@dataclass(frozen=True)
class RenewConfig:
    """Options of `convert/renew_ends.py`."""

    bundle: tyro.conf.Positional[Path]
    """Bundle whose int8 model has int8 at its ends."""
    out: Path
    """Bundle to write; the same folder with --overwrite."""
    overwrite: bool = False
    """Replace an existing bundle."""
    verbose: bool = False
    """Show tracebacks."""


def check_formats(flag: str, names: tuple[str, ...]) -> None:
    """Refuse formats that the converter does not know.

    Raises:
        InputError: One is unknown, or there is none.
    """
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        got = repr(unknown[0]) if unknown else "none"
        raise InputError(f"{flag}: expected {', '.join(FORMATS)} or all, got {got}")
