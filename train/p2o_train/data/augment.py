"""Vary a sample: mirrored, rolled, recoloured, cropped, degraded - with its label kept true."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from p2o_shapedb.database import ModelEntry
from p2o_train.data.sample import Sample
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF, ByteArray, FloatArray, rigid

_MIRROR_X = np.diag([-1.0, 1.0, 1.0])
_LUMA = np.array([0.299, 0.587, 0.114])
_LEAST_BLUR_PX = 0.3


@dataclass(frozen=True)
class AugmentConfig:
    """Chances and strengths; a chance of 0 switches a step off."""

    flip: float = 0.5
    """Chance of mirroring left and right."""
    roll: float = 0.5
    """Chance of turning the picture about its centre."""
    roll_deg: float = 6.0
    """Standard deviation of that turn, degrees."""
    letterbox: float = 0.35
    """Chance of borders, as frames with a narrower view than the canonical one have."""
    color: float = 0.8
    """Chance of another hue, saturation, value and white balance."""
    hue_deg: float = 15.0
    """Standard deviation of the hue's turn, degrees."""
    tone: float = 0.7
    """Chance of another exposure, contrast and gamma."""
    blur: float = 0.35
    """Chance of defocus or lost resolution."""
    blur_px: float = 1.6
    """Largest standard deviation of the defocus, px."""
    noise: float = 0.4
    """Chance of sensor noise."""
    jpeg: float = 0.3
    """Chance of compression artefacts."""
    jpeg_quality: int = 30
    """Least quality that compression leaves, 1..90."""
    grey: float = 0.0
    """Chance of a picture without colours."""
    erase: float = 0.25
    """Chance of a covered rectangle."""
    border_rgb: tuple[float, float, float] = (123.675, 116.28, 103.53)
    """Colour outside the frame: the mean of the model's spec, as the runtime fills it."""

    def __post_init__(self) -> None:
        for name in (
            "flip",
            "roll",
            "letterbox",
            "color",
            "tone",
            "blur",
            "noise",
            "jpeg",
            "erase",
            "grey",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be in 0..1, got {getattr(self, name)}")
        if self.blur_px < _LEAST_BLUR_PX:
            raise InputError(f"blur_px must be at least {_LEAST_BLUR_PX}, got {self.blur_px}")
        if not 1 <= self.jpeg_quality < 90:
            raise InputError(f"jpeg_quality must be in 1..89, got {self.jpeg_quality}")


def augment(
    sample: Sample, rng: np.random.Generator, config: AugmentConfig, models: Sequence[ModelEntry]
) -> Sample:
    """Return a varied copy of a sample.

    Objects whose centre leaves the picture lose their label. Samples with a model that has no
    mirror symmetry are not flipped.

    Args:
        sample: What to vary.
        rng: Source of randomness.
        config: Chances and strengths.
        models: The shape database's models.
    """
    axes = [models[int(index)].mirror_axis for index in sample.model_index]
    if rng.random() < config.flip and all(axis >= 0 for axis in axes):
        sample = flip(sample, axes)
    # Before the borders: the runtime adds them to what came out of the camera.
    sample = replace(sample, image=vary_pixels(sample.image, rng, config))
    if rng.random() < config.roll:
        sample = roll(sample, np.radians(rng.normal(0, config.roll_deg)), config.border_rgb)
    if rng.random() < config.letterbox:
        sample = _letterboxed(sample, rng, config.border_rgb)
    return sample


def flip(sample: Sample, mirror_axes: Sequence[int]) -> Sample:
    """Mirror picture and label left and right: `R' = F R G`, `t' = F t`.

    F mirrors the level frame's x, G the model in its own mirror axis, so that R' is a rotation
    and the mirrored model looks like the model itself.

    Args:
        sample: What to mirror.
        mirror_axes: Mirror axis of each object's model, 0 or 2, (n,).
    """
    sides = np.ones((len(sample), 3))
    sides[np.arange(len(sample)), np.asarray(mirror_axes, dtype=np.int64)] = -1.0
    boxes = Box9DoF(
        _MIRROR_X @ sample.boxes.rotation * sides[:, None, :],
        sample.boxes.translation @ _MIRROR_X,
        sample.boxes.scale,
    )
    K = sample.camera.K.copy()
    K[0, 2] = sample.camera.width - K[0, 2]
    pose = sample.camera.pose
    mirrored = rigid(_MIRROR_X @ pose[:3, :3] @ _MIRROR_X, _MIRROR_X @ pose[:3, 3])
    return replace(
        sample,
        image=np.ascontiguousarray(sample.image[:, ::-1]),
        camera=replace(sample.camera, K=K, world_from_camera=mirrored),
        boxes=boxes,
        mirrored=~sample.mirrored,
    )


def roll(sample: Sample, angle: float, border_rgb: Sequence[float]) -> Sample:
    """Turn the camera about its optical axis by radians; the picture turns the other way.

    Objects whose centre leaves the picture lose their label; if that were all of them, the sample
    is returned as it is.
    """
    from PIL import Image

    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])
    camera = sample.camera
    pose = camera.pose @ rigid(turn, np.zeros(3))
    rolled = replace(sample, camera=replace(camera, world_from_camera=pose))
    # Where a pixel of the new picture lay in the old one.
    old_from_new = camera.K @ turn @ np.linalg.inv(camera.K)
    image = Image.fromarray(sample.image).transform(
        (camera.width, camera.height),
        Image.Transform.AFFINE,
        tuple(old_from_new[:2].ravel()),
        Image.Resampling.BICUBIC,
        fillcolor=tuple(round(v) for v in border_rgb),
    )
    return _with_labels_inside(
        sample, replace(rolled, image=np.asarray(image)), np.ones(camera_shape(sample), dtype=bool)
    )


def camera_shape(sample: Sample) -> tuple[int, int]:
    """Return (height, width) of a sample's picture."""
    return sample.camera.height, sample.camera.width


def vary_pixels(image: ByteArray, rng: np.random.Generator, config: AugmentConfig) -> ByteArray:
    """Change colours, tone, sharpness and noise of a picture, (h, w, 3)."""
    if rng.random() < config.blur:
        image = _softened(image, rng, config.blur_px)
    pixels = image.astype(np.float32)
    if rng.random() < config.color:
        pixels = pixels @ _color_matrix(rng, config.hue_deg).T.astype(np.float32)
    if config.grey and rng.random() < config.grey:
        pixels = np.repeat(pixels @ _LUMA.astype(np.float32)[:, None], 3, axis=2)
    if rng.random() < config.tone:
        pixels = _toned(pixels, rng)
    if rng.random() < config.noise:
        deviation = np.float32(min(rng.gamma(1.5, 4.0), 25.0))
        pixels = pixels + deviation * rng.standard_normal(pixels.shape, np.float32)
    if rng.random() < config.erase:
        pixels = _erased(pixels, rng)
    image = (pixels + 0.5).clip(0, 255).astype(np.uint8)
    if rng.random() < config.jpeg:
        image = _compressed(image, int(rng.integers(config.jpeg_quality, 90)))
    return image


def _with_labels_inside(before: Sample, after: Sample, shown: npt.NDArray[np.bool_]) -> Sample:
    """Keep the labels whose centre falls on a shown pixel; without any, undo the change."""
    height, width = camera_shape(after)
    centers = after.camera.project(after.boxes.translation)
    column, row = (np.floor(np.nan_to_num(centers[:, k], nan=-1)).astype(int) for k in (0, 1))
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    inside &= shown[row.clip(0, height - 1), column.clip(0, width - 1)]
    if len(before) and not inside.any():
        return before
    return replace(
        after,
        boxes=after.boxes[inside],
        class_id=after.class_id[inside],
        model_index=after.model_index[inside],
        visible_fraction=after.visible_fraction[inside],
        mirrored=after.mirrored[inside],
    )


def _letterboxed(sample: Sample, rng: np.random.Generator, border_rgb: Sequence[float]) -> Sample:
    """Blank what a frame of another shape would not have seen: usually sides, or top and bottom."""
    height, width = camera_shape(sample)
    long, short = rng.uniform(0.85, 1.2), rng.uniform(0.55, 0.95)
    half = np.array([long, short] if rng.random() < 0.5 else [short, long]) / 2 * [width, height]
    tilt = rng.normal(0, 0.05)
    x, y = np.meshgrid(np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2)
    along = np.abs(np.cos(tilt) * x + np.sin(tilt) * y)
    across = np.abs(np.cos(tilt) * y - np.sin(tilt) * x)
    shown = (along < half[0]) & (across < half[1])
    border = np.round(border_rgb).astype(np.uint8)
    image = np.where(shown[..., None], sample.image, border)
    return _with_labels_inside(sample, replace(sample, image=image), shown)


def _softened(image: ByteArray, rng: np.random.Generator, most_px: float) -> ByteArray:
    from PIL import Image, ImageFilter

    picture = Image.fromarray(image)
    if rng.random() < 0.5:
        deviation = float(rng.uniform(_LEAST_BLUR_PX, most_px))
        return np.asarray(picture.filter(ImageFilter.GaussianBlur(deviation)))
    # Resampling to a share of the size loses about as much as that blur.
    factor = rng.uniform(min(0.4, 0.64 / most_px), 0.9)
    small = picture.resize(
        (int(picture.width * factor), int(picture.height * factor)), Image.Resampling.BOX
    )
    return np.asarray(small.resize(picture.size, Image.Resampling.BILINEAR))


def _color_matrix(rng: np.random.Generator, hue_deg: float) -> FloatArray:
    """Hue, saturation, value and white balance as one linear map of RGB, (3, 3)."""
    angle = np.radians(rng.normal(0, hue_deg))
    axis = np.full(3, 1 / np.sqrt(3))
    cross = np.cross(np.eye(3), axis)
    turn = np.eye(3) * np.cos(angle) + np.sin(angle) * cross
    turn += (1 - np.cos(angle)) * np.outer(axis, axis)
    saturation = rng.uniform(0.4, 1.4)
    grey = np.tile(_LUMA, (3, 1))
    value, balance = rng.uniform(0.75, 1.25), np.exp(rng.normal(0, 0.06, 3))
    matrix = value * (saturation * np.eye(3) + (1 - saturation) * grey) @ turn
    return np.asarray(balance[:, None] * matrix)


def _toned(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    gamma = np.float32(np.exp(rng.normal(0, 0.2)))
    contrast, shift = np.float32(rng.uniform(0.75, 1.25)), np.float32(rng.normal(0, 10))
    curve = 255 * (pixels.clip(0, 255) / 255) ** gamma
    return np.asarray((curve - 128) * contrast + 128 + shift)


def _erased(pixels: FloatArray, rng: np.random.Generator) -> FloatArray:
    height, width, _ = pixels.shape
    tall, wide = (int(side * rng.uniform(0.06, 0.25)) for side in (height, width))
    top, left = int(rng.integers(height - tall)), int(rng.integers(width - wide))
    erased = pixels.copy()
    erased[top : top + tall, left : left + wide] = rng.uniform(0, 255, 3)
    return erased


def _compressed(image: ByteArray, quality: int) -> ByteArray:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    with Image.open(stream) as picture:
        return np.asarray(picture)
