"""A photograph as the network sees it: a square view at some zoom, its rectangles kept true.

Rendered pictures come with their camera. A photograph's is unknown, so each view assumes a field
of view, and with it how large things look; close views also take the picture apart around an
object. A view beside the picture's centre is treated like one straight ahead: what the rectangles
teach of distance and gravity is weak enough for that.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from p2o_train.data.augment import AugmentConfig, vary_pixels
from p2o_train.data.photos2d import BoolArray, PhotoSample
from points2objects.errors import InputError, check_shape
from points2objects.geometry import ByteArray, FloatArray, IntArray
from points2objects.preprocess import map_pixels, resample
from points2objects.spec import ModelSpec

_BORDER = 0.008
"""An edge this near to the picture's border, in picture sides, may be the border's own."""


@dataclass(frozen=True)
class PhotoAugmentConfig:
    """How views of photographs vary; a chance of 0 switches a step off."""

    whole: float = 0.4
    """Chance of the whole picture at an assumed field of view, as the runtime would look at it."""
    fov_deg: tuple[float, float] = (45.0, 80.0)
    """Least and largest field of view that is assumed across the picture's longer side."""
    object_share: tuple[float, float] = (0.05, 1.0)
    """Otherwise, how much of the view's side an object fills that the view is drawn around."""
    least_span: float = 0.25
    """A close view spans at least so much of the picture's shorter side."""
    most_enlarged: float = 3.0
    """A picture's pixel becomes at most so many pixels wide."""
    flip: float = 0.5
    """Chance of mirroring left and right."""
    roll: float = 0.3
    """Chance of a turn."""
    roll_deg: float = 2.0
    """Standard deviation of the turn, degrees; never more than twice that, as rectangles about
    turned objects are guessed from the rectangles about the straight ones."""
    least_shown: float = 0.3
    """An object of which the view shows less, as a share of its rectangle, is ignored."""
    least_px: float = 6.0
    """An object whose shown rectangle's longer side is smaller is ignored."""
    pixels: AugmentConfig = field(
        default_factory=lambda: AugmentConfig(
            blur=0.4, noise=0.3, jpeg=0.4, erase=0.0, blur_px=3.0, jpeg_quality=15, grey=0.08
        )
    )
    """How colours, sharpness and noise vary."""

    def __post_init__(self) -> None:
        for name in ("whole", "flip", "roll", "least_shown", "least_span"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be in 0..1, got {getattr(self, name)}")
        low, high = self.fov_deg
        if not 1 < low <= high < 179:
            raise InputError(f"fov_deg must be two angles in 1..179, got {self.fov_deg}")
        low, high = self.object_share
        if not 0 < low <= high <= 1:
            raise InputError(f"object_share must be two shares in 0..1, got {self.object_share}")
        if self.most_enlarged < 1:
            raise InputError(f"most_enlarged must be at least 1, got {self.most_enlarged}")


@dataclass(frozen=True, eq=False)
class PhotoView:
    """A canonical view of a photograph and the n rectangles in it.

    Attributes:
        image: (s, s, 3) uint8 RGB.
        boxes: (n, 4), left, top, right, bottom, px of the view; clipped to what it shows.
        class_id: (n,).
        weight: (n,), 0..1.
        ignore: (n,), not to be learned; nothing under it is background either.
        at_border: (n, 4), edges that are the picture's or the view's and not the object's.
        exhaustive: (c,), classes of which every visible object has a rectangle.
        valid: (s, s), pixels that the picture covers; the others are padding.
    """

    image: ByteArray
    boxes: FloatArray
    class_id: IntArray
    weight: FloatArray
    ignore: BoolArray
    at_border: BoolArray
    exhaustive: BoolArray
    valid: BoolArray

    def __post_init__(self) -> None:
        n = check_shape("boxes", self.boxes, "n 4")
        for name in ("class_id", "weight", "ignore"):
            check_shape(name, getattr(self, name), "n", n)
        check_shape("at_border", self.at_border, "n 4", n)

    def __len__(self) -> int:
        return len(self.boxes)


def photo_view(
    sample: PhotoSample, rng: np.random.Generator, spec: ModelSpec, config: PhotoAugmentConfig
) -> PhotoView:
    """Draw a varied view for training.

    Where the view leaves the picture it has the spec's mean colour, as in the runtime.

    Args:
        sample: The photograph.
        rng: Source of randomness.
        spec: Says size, field of view and mean colour of the model's input.
        config: Chances and strengths.
    """
    picture_from_view = _random_map(sample, rng, config, spec)
    view = draw_view(sample, picture_from_view, spec, config)
    image = vary_pixels(view.image, rng, config.pixels)
    # Padding comes after the camera and its compression, as the runtime adds it.
    padding = np.rint(spec.mean).astype(np.uint8)
    return replace(view, image=np.where(view.valid[..., None], image, padding))


def draw_view(
    sample: PhotoSample,
    picture_from_view: FloatArray,
    spec: ModelSpec,
    config: PhotoAugmentConfig,
) -> PhotoView:
    """Draw the view that an affine map of pixels, (3, 3), describes, with its rectangles."""
    height, width = sample.image.shape[:2]
    size_px, padding = spec.input_size, np.rint(spec.mean).astype(np.uint8)
    centers = np.arange(size_px) + 0.5
    x, y = np.meshgrid(centers, centers)
    at = map_pixels(picture_from_view, np.stack([x, y], axis=-1).reshape(-1, 2))
    inside = ((at >= 0) & (at <= [width, height])).all(axis=-1).reshape(size_px, size_px)
    boxes, at_border = _moved(sample, np.linalg.inv(picture_from_view))
    clipped = np.clip(boxes, 0.0, float(size_px))
    at_border |= np.abs(clipped - boxes) > 0.5
    area, shown = (_sides(each).prod(axis=1) for each in (boxes, clipped))
    kept = (_sides(clipped) > 0).all(axis=1)
    small = (shown < config.least_shown * area) | (_sides(clipped).max(axis=1) < config.least_px)
    return PhotoView(
        image=resample(sample.image, picture_from_view, size_px, padding),
        boxes=clipped[kept],
        class_id=sample.class_id[kept],
        weight=sample.weight[kept],
        ignore=(sample.ignore | small)[kept],
        at_border=at_border[kept],
        exhaustive=sample.exhaustive,
        valid=inside,
    )


def _random_map(
    sample: PhotoSample, rng: np.random.Generator, config: PhotoAugmentConfig, spec: ModelSpec
) -> FloatArray:
    """Choose `picture_from_view`: how much of the picture, where, turned and mirrored how."""
    height, width = sample.image.shape[:2]
    size_px = spec.input_size
    sides = np.array([width, height], dtype=float)
    clear = np.flatnonzero(~sample.ignore)
    whole_span = _whole_span(sample, spec.fov_deg, float(rng.uniform(*config.fov_deg)))
    if rng.random() < config.whole:
        span = whole_span
        center = sides / 2 + rng.uniform(-0.1, 0.1, 2) * span
    else:
        chosen = sample.boxes[rng.choice(clear)] if len(clear) else None
        span = _close_span(sample, chosen, rng, config)
        span = max(span, size_px / config.most_enlarged)
        # Mostly whole, at times cut off, as things are that one stands in front of.
        middle = rng.uniform(0, 1, 2) * sides if chosen is None else (chosen[:2] + chosen[2:]) / 2
        room = np.abs(span - (0.0 if chosen is None else _sides(chosen[None])[0])) / 2
        center = middle + rng.uniform(-1.0, 1.0, 2) * np.maximum(room, 0.15 * span)
    # A view that fits into the picture stays in it: padding only where there is no other way.
    slack = np.maximum((sides - span) / 2, 0.0)
    center = np.where(
        slack > 0,
        np.clip(center, sides / 2 - slack, sides / 2 + slack),
        np.clip(center, sides / 2 - 0.1 * span, sides / 2 + 0.1 * span),
    )
    angle = 0.0
    if rng.random() < config.roll:
        limit = 2 * config.roll_deg
        angle = float(np.radians(np.clip(rng.normal(0, config.roll_deg), -limit, limit)))
    mirrored = bool(rng.random() < config.flip)
    return _similarity(center, span / size_px, size_px, angle, mirrored)


def _close_span(
    sample: PhotoSample,
    box: FloatArray | None,
    rng: np.random.Generator,
    config: PhotoAugmentConfig,
) -> float:
    """Return the side of a close view, px of the picture: an object then fills a drawn share."""
    height, width = sample.image.shape[:2]
    least, most = config.least_span * min(width, height), float(max(width, height))
    if box is None:
        return float(np.exp(rng.uniform(np.log(least), np.log(most))))
    side = float(_sides(box[None]).max())
    # No share that would take more than the picture, so that all others come as often.
    low, high = (max(share, min(side / most, 1.0)) for share in config.object_share)
    share = np.exp(rng.uniform(np.log(low), np.log(high)))
    return float(np.clip(side / share, least, most))


def _whole_span(sample: PhotoSample, fov_deg: float, assumed_deg: float) -> float:
    """Return how many pixels of the picture the view is wide if its camera sees so many degrees."""
    longer = max(sample.image.shape[:2])
    return float(longer * np.tan(np.radians(fov_deg) / 2) / np.tan(np.radians(assumed_deg) / 2))


def _similarity(
    center: FloatArray, step: float, size_px: int, angle: float = 0.0, mirrored: bool = False
) -> FloatArray:
    """Return `picture_from_view`, (3, 3): the view's centre lands on `center`."""
    cos, sin = np.cos(angle), np.sin(angle)
    turn = step * np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    result = np.eye(3)
    result[:2, :2] = turn
    result[:2, 2] = center - turn @ np.full(2, size_px / 2)
    return result


def _moved(sample: PhotoSample, view_from_picture: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Return the rectangles in the view, (n, 4), and which edges the picture cut off, (n, 4).

    The rectangle about a turned object is between those about its turned rectangle and about the
    ellipse in it: the middle is taken.
    """
    height, width = sample.image.shape[:2]
    tolerance = np.maximum(_BORDER * np.array([width, height, width, height]), 1.0)
    at_border = np.abs(sample.boxes - [0, 0, width, height]) < tolerance
    center = map_pixels(view_from_picture, (sample.boxes[:, :2] + sample.boxes[:, 2:]) / 2)
    half, turn = _sides(sample.boxes) / 2, view_from_picture[:2, :2]
    corners, ellipse = half @ np.abs(turn).T, np.sqrt(half**2 @ (turn**2).T)
    reach = (corners + ellipse) / 2
    if turn[0, 0] < 0:
        at_border = at_border[:, [2, 1, 0, 3]]
    return np.concatenate([center - reach, center + reach], axis=1), at_border


def _sides(boxes: FloatArray) -> FloatArray:
    """Return width and height of rectangles, (n, 4) -> (n, 2)."""
    return np.asarray(boxes[:, 2:] - boxes[:, :2])
