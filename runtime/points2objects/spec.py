"""What a model promises: its classes, input, outputs and how to read them."""

import json
from dataclasses import asdict, dataclass, field, replace
from enum import Enum

from points2objects.errors import BundleError
from points2objects.strict_json import (
    as_items,
    as_number,
    as_table,
    as_text,
    as_whole,
    parse_json,
    shortened,
)

SCHEMA_VERSION = 1
MOST_JSON_BYTES = 1 << 20
MOST_OUTPUT_VALUES = 1 << 26
"""Numbers in all output maps together: 256 MB."""
MOST_CELLS_READ = 20_000
"""Cells around all peaks of an image."""
LEAST_STD = 1e-4

_LIMITS = {
    "exemplars_per_class": (1, 10_000),
    "input_size": (1, 2048),
    "stride": (1, 2048),
    "max_objects": (1, 1000),
    "vote_radius": (0, 8),
}
"""Least and largest value of each whole number: all real ones, with room."""


class PoseEncoding(str, Enum):
    """How the pose heads are read (`points2objects.place` holds the formulas).

    DIRECT is the paper's: rotation, centre and scale in the level frame.
    RAY anchors the centre to its pixel: sub-cell offset and log-distance along the viewing ray,
    rotation relative to the ray's azimuth, log of scale over distance.
    """

    DIRECT = "direct"
    RAY = "ray"


class RotationEncoding(str, Enum):
    """How the rotation head is read (`points2objects.place` holds the formulas).

    MATRIX: nine numbers, a matrix that is projected to the nearest rotation (eq. 6).
    BINS: the paper's baseline from CenterNet, eight numbers: the turn about +y as one of two
    overlapping bins, and an offset from the bin's middle. Boxes stand upright.
    """

    MATRIX = "matrix"
    BINS = "bins"


class GravityEncoding(str, Enum):
    """Which cells say where up is (`points2objects.decode` holds the formula).

    PEAKS: those of the objects found, by their scores. POOLED: a grid of cells all over the
    picture, by a confidence that the gravity head gives in a fourth channel, as a logarithm.
    """

    PEAKS = "peaks"
    POOLED = "pooled"


GRAVITY_CHANNELS = {GravityEncoding.PEAKS: 3, GravityEncoding.POOLED: 4}
ROTATION_CHANNELS = {RotationEncoding.MATRIX: 9, RotationEncoding.BINS: 8}


@dataclass(frozen=True)
class ModelSpec:
    """The contract between a trained network and everything that reads its outputs.

    Attributes:
        name: Name of the model, for people.
        classes: Class names; the index is the class id.
        exemplars_per_class: k; exemplar id = class id * k + index.
        input_size: Side of the square input, px.
        stride: Input pixels per cell of the output maps.
        fov_deg: Field of view across the input, degrees.
        mean: RGB subtracted from the image, 0..255 each.
        std: RGB divisor after that.
        pose: How the pose heads are encoded.
        rotation: How the rotation head is encoded; specs from before this field hold MATRIX.
        gravity: Which cells say where up is; specs from before this field hold PEAKS.
        score_threshold: Peaks below it are dropped (paper: 0.01 synthetic, 0.1 real images).
        class_thresholds: The same for each class, where they differ; empty: all alike.
        sizes_m: Diagonal of the smallest and of the largest box of each class's CAD models, m; with
            a pose, what is far off is dropped. Empty: nothing is known.
        max_objects: At most so many peaks, best first.
        vote_radius: All heads are averaged over the cells this near to a peak, rows and columns; 0
            reads the peak's own. For models whose heads also learned beside the centre (RAY).
        shapedb_digest: SHA-256 of the shape database that the exemplar head indexes.
        schema_version: Version of this record.
    """

    name: str
    classes: tuple[str, ...]
    exemplars_per_class: int
    shapedb_digest: str
    input_size: int = 256
    stride: int = 4
    fov_deg: float = 60.0
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    pose: PoseEncoding = PoseEncoding.RAY
    rotation: RotationEncoding = RotationEncoding.MATRIX
    gravity: GravityEncoding = GravityEncoding.PEAKS
    score_threshold: float = 0.3
    max_objects: int = 16
    vote_radius: int = 0
    class_thresholds: tuple[float, ...] = ()
    sizes_m: tuple[tuple[float, float], ...] = ()
    schema_version: int = field(default=SCHEMA_VERSION)

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise BundleError(
                f"model spec: this version reads schema {SCHEMA_VERSION}, got "
                f"{shortened(self.schema_version)}; convert the checkpoint again or upgrade "
                "points2objects"
            )
        try:
            self._check_types()
        except ValueError as error:
            raise BundleError(f"model spec: {error}") from error
        self._check_sizes()
        self._check_thresholds()

    def _check_types(self) -> None:
        """Check that numbers are numbers, and none so large that a small file takes the memory."""
        for name in ("name", "shapedb_digest"):
            as_text(name, getattr(self, name))
        for label in self.classes:
            as_text("a class", label)
        for name, (least, most) in _LIMITS.items():
            as_whole(name, getattr(self, name), least, most)
        pairs = [value for pair in self.sizes_m for value in as_items("a pair of sizes_m", pair)]
        for name in ("fov_deg", "score_threshold"):
            as_number(name, getattr(self, name))
        for name, values in (
            ("mean", self.mean),
            ("std", self.std),
            ("class_thresholds", self.class_thresholds),
            ("sizes_m", pairs),
        ):
            for value in values:
                as_number(name, value)

    def _check_sizes(self) -> None:
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise BundleError(
                f"model spec: classes must be distinct, got {shortened(list(self.classes))}"
            )
        if self.input_size % self.stride:
            raise BundleError(
                f"model spec: input_size must be a multiple of stride, got {self.input_size} and "
                f"{self.stride}"
            )
        if self.map_size**2 * sum(self.outputs.values()) > MOST_OUTPUT_VALUES:
            raise BundleError(
                f"model spec: {len(self.classes)} classes of {self.exemplars_per_class} exemplars "
                f"on maps of {self.map_size} cells are more than {MOST_OUTPUT_VALUES} numbers"
            )
        if self.max_objects * (2 * self.vote_radius + 1) ** 2 > MOST_CELLS_READ:
            raise BundleError(
                f"model spec: max_objects {self.max_objects} with vote_radius {self.vote_radius} "
                f"would read more than {MOST_CELLS_READ} cells"
            )
        if not 1 < self.fov_deg < 179:
            raise BundleError(f"model spec: fov_deg must be in 1..179, got {self.fov_deg}")
        if (
            len(self.mean) != 3
            or len(self.std) != 3
            or not all(0 <= value <= 255 for value in self.mean)
            or not all(LEAST_STD <= value <= 1 / LEAST_STD for value in self.std)
        ):
            raise BundleError(
                "model spec: mean and std must hold three numbers, mean in 0..255, std positive, "
                f"got {shortened(list(self.mean))} and {shortened(list(self.std))}"
            )
        if self.vote_radius and self.pose is PoseEncoding.DIRECT:
            raise BundleError(
                "model spec: vote_radius must be 0 for the direct pose, got "
                f"{self.vote_radius} for {self.pose.value}"
            )

    def _check_thresholds(self) -> None:
        if not 0 <= self.score_threshold < 1:
            raise BundleError(
                f"model spec: score_threshold must be in 0..1, got {self.score_threshold}"
            )
        if self.class_thresholds and (
            len(self.class_thresholds) != len(self.classes)
            or not all(0 <= value < 1 for value in self.class_thresholds)
        ):
            raise BundleError(
                f"model spec: class_thresholds must be {len(self.classes)} numbers in 0..1, got "
                f"{shortened(list(self.class_thresholds))}"
            )
        if self.sizes_m and (
            len(self.sizes_m) != len(self.classes)
            or not all(len(pair) == 2 and 0 < pair[0] <= pair[1] for pair in self.sizes_m)
        ):
            raise BundleError(
                f"model spec: sizes_m must be {len(self.classes)} pairs of lengths, the smaller "
                f"first, got {shortened(list(self.sizes_m))}"
            )

    @property
    def least_scores(self) -> tuple[float, ...]:
        """Least score of an object of each class."""
        return self.class_thresholds or (self.score_threshold,) * len(self.classes)

    def with_threshold(self, score: float) -> "ModelSpec":
        """Return the same contract with one least score for all classes."""
        return replace(self, score_threshold=score, class_thresholds=())

    @property
    def map_size(self) -> int:
        """Side of the output maps, cells."""
        return self.input_size // self.stride

    @property
    def outputs(self) -> dict[str, int]:
        """Output tensors in order, name -> channels; each map is (map_size, map_size, channels).

        The heat-map holds scores 0..1 (after the sigmoid), everything else raw regressions.
        """
        return {
            "heatmap": len(self.classes),
            "rotation": ROTATION_CHANNELS[self.rotation],
            "translation": 3,
            "scale": 3,
            "gravity": GRAVITY_CHANNELS[self.gravity],
            "exemplar": len(self.classes) * self.exemplars_per_class,
        }

    def to_json(self) -> str:
        """Serialise; `from_json` reads it back."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "ModelSpec":
        """Read what `to_json` wrote.

        Raises:
            BundleError: Not JSON, a field is missing or unknown, or a value is out of range.
        """
        try:
            values = dict(as_table("it", parse_json(text, MOST_JSON_BYTES)))
            for key in ("classes", "mean", "std"):
                values[key] = tuple(as_items(key, values[key]))
            values["class_thresholds"] = tuple(values.get("class_thresholds", ()))
            values["sizes_m"] = tuple(tuple(pair) for pair in values.get("sizes_m", ()))
            values["pose"] = PoseEncoding(values["pose"])
            values["rotation"] = RotationEncoding(values.get("rotation", RotationEncoding.MATRIX))
            values["gravity"] = GravityEncoding(values.get("gravity", GravityEncoding.PEAKS))
            return cls(**values)
        except (ValueError, TypeError, KeyError) as error:
            raise BundleError(f"model spec: not a valid spec ({error})") from error
