"""Tileable surface patterns made from noise, and the pictures of an assets folder."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from p2o_train.rendering.photos import Photo, load_photo
from points2objects.geometry import ByteArray, FloatArray

TEXTURE_SIZE_PX = 256
PHOTO_SIZE_PX = 1024

_PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True)
class TextureLibrary:
    """Every surface picture a renderer may use.

    Attributes:
        layers: (l, 256, 256, 3) sRGB; tileable patterns first, pictures after them.
        patterns: Number of patterns: grey, to be coloured by the material.
        photos: Photographs to crop for walls and backdrops; may be none.
    """

    layers: ByteArray
    patterns: int
    photos: tuple[Photo, ...]


def load_textures(assets: Path | None) -> TextureLibrary:
    """Make the patterns and, given an assets folder, read its textures and photos."""
    layers = [_grey(make(np.random.default_rng(seed))) for seed, make in enumerate(_PATTERNS * 3)]
    count = len(layers)
    photos: list[Photo] = []
    if assets is not None:
        pictures = (assets / "textures").rglob("*")
        layers += [_square(_read(path)) for path in _sorted_pictures(pictures)]
        photos = [
            load_photo(path, _fit(_read(path), PHOTO_SIZE_PX))
            for path in _sorted_pictures((assets / "photos" / "pexels").glob("*"))
        ]
    return TextureLibrary(np.stack(layers), count, tuple(photos))


def spectrum_noise(
    rng: np.random.Generator, slope: float, stretch: tuple[float, float] = (1.0, 1.0)
) -> FloatArray:
    """Return tileable noise, (256, 256), mean 0, deviation 1, whose amplitude falls as f^-slope.

    `stretch` lengthens the features along rows and columns.
    """
    size = TEXTURE_SIZE_PX
    frequency = np.fft.fftfreq(size) * size
    radius = np.hypot(frequency[:, None] * stretch[0], frequency[None] * stretch[1])
    amplitude = np.where(radius > 0, np.maximum(radius, 1.0) ** -slope, 0.0)
    noise = np.fft.ifft2(np.fft.fft2(rng.standard_normal((size, size))) * amplitude).real
    return np.asarray((noise - noise.mean()) / noise.std())


def _wood(rng: np.random.Generator) -> FloatArray:
    rings = spectrum_noise(rng, 2.3, (0.2, 1.0))
    return np.asarray(0.5 + 0.2 * np.sin(rings * rng.uniform(3, 9)) + 0.05 * _fibre(rng))


def _fibre(rng: np.random.Generator) -> FloatArray:
    return spectrum_noise(rng, 0.7, (0.05, 1.0))


def _planks(rng: np.random.Generator) -> FloatArray:
    size, rows = TEXTURE_SIZE_PX, int(rng.choice([4, 8]))
    board = np.arange(size) * rows // size
    shade = rng.uniform(0.35, 0.75, rows)
    across = (np.arange(size) * rows % size) / size
    seam = np.where((across < 0.03) | (across > 0.97), 0.55, 1.0)
    return (shade[board] * seam)[None] * (0.7 + 0.6 * _wood(rng))


def _carpet(rng: np.random.Generator) -> FloatArray:
    return 0.5 + 0.18 * spectrum_noise(rng, 0.4) + 0.08 * spectrum_noise(rng, 1.5)


def _plaster(rng: np.random.Generator) -> FloatArray:
    return 0.6 + 0.08 * spectrum_noise(rng, 1.1) + 0.03 * spectrum_noise(rng, 0.3)


def _marble(rng: np.random.Generator) -> FloatArray:
    warp = spectrum_noise(rng, 1.7)
    veins = np.exp(-np.abs(np.sin(warp * 2.5)) * 5)
    return np.asarray(0.75 - 0.5 * veins + 0.05 * spectrum_noise(rng, 1.0))


def _weave(rng: np.random.Generator) -> FloatArray:
    threads = int(rng.choice([16, 32]))
    phase = np.arange(TEXTURE_SIZE_PX) / TEXTURE_SIZE_PX * 2 * np.pi * threads
    over = np.sin(phase)[:, None] * np.sign(np.sin(phase / 2))[None]
    return 0.5 + 0.2 * over + 0.08 * spectrum_noise(rng, 0.5)


def _stripes(rng: np.random.Generator) -> FloatArray:
    waves = int(rng.choice([2, 4, 8, 16]))
    phase = np.arange(TEXTURE_SIZE_PX) / TEXTURE_SIZE_PX * 2 * np.pi * waves
    bands = 1 / (1 + np.exp(-(np.sin(phase) - rng.uniform(-0.6, 0.6)) * 12))
    return 0.15 + 0.7 * np.tile(bands, (TEXTURE_SIZE_PX, 1)) + 0.03 * spectrum_noise(rng, 0.6)


def _tiles(rng: np.random.Generator) -> FloatArray:
    count = int(rng.choice([2, 4]))
    cell = np.arange(TEXTURE_SIZE_PX) * count // TEXTURE_SIZE_PX
    place = (np.arange(TEXTURE_SIZE_PX) * count % TEXTURE_SIZE_PX) / TEXTURE_SIZE_PX
    joint = np.where((place < 0.03) | (place > 0.97), 0.0, 1.0)
    shade = rng.uniform(0.55, 0.75, (count, count))
    if rng.random() < 0.4:
        shade = np.where((np.add.outer(np.arange(count), np.arange(count)) % 2) > 0, 0.85, 0.2)
    face = shade[np.ix_(cell, cell)] * (1 + 0.08 * spectrum_noise(rng, 1.3))
    return np.asarray(np.where(np.outer(joint, joint) > 0, face, 0.3))


def _speckle(rng: np.random.Generator) -> FloatArray:
    spots = spectrum_noise(rng, 0.9)
    return np.asarray(0.6 + 0.3 * (spots > 1.3) - 0.35 * (spots < -1.3))


_PATTERNS: list[Callable[[np.random.Generator], FloatArray]] = [
    _wood, _planks, _carpet, _plaster, _marble, _weave, _stripes, _tiles, _speckle, _wood,
]  # fmt: skip


def _grey(values: FloatArray) -> ByteArray:
    grey = (values.clip(0, 1) * 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def _sorted_pictures(paths: Iterable[Path]) -> list[Path]:
    return sorted(path for path in paths if path.suffix.lower() in _PICTURE_SUFFIXES)


def _read(path: Path) -> ByteArray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _square(picture: ByteArray) -> ByteArray:
    from PIL import Image

    side = min(picture.shape[:2])
    image = Image.fromarray(np.ascontiguousarray(picture[:side, :side]))
    return np.asarray(image.resize((TEXTURE_SIZE_PX, TEXTURE_SIZE_PX), Image.Resampling.BOX))


def _fit(picture: ByteArray, size: int) -> ByteArray:
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((size, size))
    return np.asarray(image)
