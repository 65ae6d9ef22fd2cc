"""Environment maps: reading, spherical harmonics, specular levels and light sampling.

Maps are equirectangular, (h, 2h, 3), linear; row 0 looks up, column 0 looks along -z and columns
turn towards +x.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from points2objects.errors import InputError, check_shape
from points2objects.geometry import FloatArray

LIGHT_HEIGHT_PX = 64
BACKDROP_HEIGHT_PX = 256
SPECULAR_LEVELS = 6

_CARRIED = Path(__file__).parent / "assets" / "environments.npz"


@dataclass(frozen=True)
class Environment:
    """One environment map, normalised so that a horizontal white surface reflects about 1.

    Attributes:
        name: Where it comes from.
        light: (64, 128, 3), for lighting; single bright pixels are capped.
        backdrop: (h, 2h, 3), the same, sharper, for what the camera sees.
    """

    name: str
    light: FloatArray
    backdrop: FloatArray

    def __post_init__(self) -> None:
        check_shape("light", self.light, f"{LIGHT_HEIGHT_PX} {2 * LIGHT_HEIGHT_PX} 3")

    @cached_property
    def harmonics(self) -> FloatArray:
        """Its 9 spherical harmonics, (9, 3)."""
        return harmonics(self.light)

    @cached_property
    def pool(self) -> "LightPool":
        """What `draw_lights` draws from."""
        return light_pool(self.light)


@dataclass(frozen=True)
class LightPool:
    """The pixels of a map that may become lights, all above the horizon.

    Attributes:
        directions: (p, 3), unit.
        irradiance: (p, 3), of a surface that faces the pixel, over the pixel's chance.
        reached: (p,), chances summed up, 0..1.
    """

    directions: FloatArray
    irradiance: FloatArray
    reached: FloatArray


@dataclass(frozen=True)
class LightSet:
    """Directional lights that stand for an environment.

    Attributes:
        directions: (l, 3), unit, towards the light.
        irradiance: (l, 3), linear RGB on a surface that faces the light.
    """

    directions: FloatArray
    irradiance: FloatArray


def load_environments(folder: Path | None) -> tuple[Environment, ...]:
    """Read the maps of a folder of EXR files, or those the project carries.

    Raises:
        InputError: The folder holds none, or the OpenEXR package is missing.
    """
    if folder is None:
        with np.load(_CARRIED, allow_pickle=False) as data:
            return tuple(make_environment(name, data[name]) for name in sorted(data.files))
    paths = sorted(folder.glob("*.exr"))
    if not paths:
        raise InputError(f"{folder}: expected environment maps *.exr, found none")
    return tuple(make_environment(path.stem, read_exr(path)) for path in paths)


def read_exr(path: Path) -> FloatArray:
    """Read the colour of an EXR file, (h, w, 3) float32, linear."""
    try:
        import OpenEXR
    except ImportError as error:
        raise InputError(f"{path.name}: reading EXR needs OpenEXR; pip install openexr") from error
    with OpenEXR.File(str(path)) as file:
        channels = file.channels()
        for name in ("RGB", "RGBA"):
            if name in channels:
                pixels = np.asarray(channels[name].pixels[..., :3], np.float32)
                return np.nan_to_num(pixels, posinf=65504.0).clip(0)
    raise InputError(f"{path.name}: expected an RGB image, got channels {sorted(channels)}")


def make_environment(name: str, pixels: FloatArray) -> Environment:
    """Reduce a map to the sizes used here and normalise its brightness."""
    light = shrink(np.asarray(pixels, np.float32), LIGHT_HEIGHT_PX)
    backdrop = shrink(np.asarray(pixels, np.float32), BACKDROP_HEIGHT_PX)
    directions, solid_angle = map_directions(LIGHT_HEIGHT_PX)
    luminance = light.mean(-1)
    cap = 40.0 * float((luminance * solid_angle).sum() / solid_angle.sum())
    light = light * np.minimum(1.0, cap / np.maximum(luminance, 1e-6))[..., None]
    up = np.maximum(directions[..., 1], 0) * solid_angle
    gain = np.pi / max(float((light.mean(-1) * up).sum()), 1e-6)
    return Environment(name, light * gain, backdrop * gain)


def shrink(pixels: FloatArray, height: int) -> FloatArray:
    """Average blocks down to a height (kept when it is small already), (height, 2 height, 3)."""
    step = max(1, pixels.shape[0] // height)
    rows, columns = pixels.shape[0] // step, pixels.shape[1] // step
    blocks = pixels[: rows * step, : columns * step].reshape(rows, step, columns, step, 3)
    return np.asarray(blocks.mean((1, 3)), dtype=np.float32)


def map_directions(height: int) -> tuple[FloatArray, FloatArray]:
    """Return direction (h, 2h, 3) and solid angle (h, 2h) of every pixel."""
    step = np.float32(np.pi / height)
    down = (np.arange(height, dtype=np.float32) + np.float32(0.5)) * step
    around = (np.arange(2 * height, dtype=np.float32) + np.float32(0.5)) * step
    polar, azimuth = np.meshgrid(down, around, indexing="ij")
    directions = np.stack(
        [np.sin(polar) * np.sin(azimuth), np.cos(polar), -np.sin(polar) * np.cos(azimuth)], -1
    )
    return directions, np.sin(polar) * step**2


def harmonics(environment: FloatArray) -> FloatArray:
    """Project a map on 9 spherical harmonics, (9, 3)."""
    small = shrink(environment, 32)
    directions, solid_angle = map_directions(small.shape[0])
    basis = _harmonic_basis(directions)
    return np.asarray(np.einsum("hwc,hwk,hw->kc", small, basis, solid_angle), np.float32)


def turned_harmonics(values: FloatArray, turn: float) -> FloatArray:
    """Return the harmonics, (9, 3), of a map turned about +y by `turn` radians."""
    return np.asarray(_VALUES_FROM_PROBES @ _harmonic_basis(turn_about_y(_PROBES, -turn)) @ values)


def irradiance_from_above(values: FloatArray) -> FloatArray:
    """Return the irradiance of a horizontal surface, (3,), from harmonics (9, 3)."""
    third = -0.315392 * values[6] - 0.546274 * values[8]
    return np.asarray(0.886227 * values[0] + 1.023328 * values[1] + 0.785398 * third)


def turn_about_y(directions: FloatArray, turn: float) -> FloatArray:
    """Turn directions (..., 3) about +y by radians; -z goes towards -x."""
    x, y, z = directions[..., 0], directions[..., 1], directions[..., 2]
    cos, sin = np.cos(turn), np.sin(turn)
    return np.stack([cos * x + sin * z, y, cos * z - sin * x], axis=-1)


def specular_levels(environment: FloatArray) -> list[FloatArray]:
    """Blur a map for rising roughness at falling size; level l has (h >> l, 2h >> l, 3)."""
    height = environment.shape[0]
    levels = [np.asarray(environment, np.float32)]
    for level in range(1, SPECULAR_LEVELS):
        roughness = level / (SPECULAR_LEVELS - 1)
        exponent = np.float32(min(2 / roughness**4 - 2 + 1e-3, 500.0))
        source = shrink(environment, min(32 if level < 3 else 16, height))
        toward, solid_angle = map_directions(source.shape[0])
        directions, _ = map_directions(max(height >> level, 1))
        cosine = np.maximum(directions.reshape(-1, 3) @ toward.reshape(-1, 3).T, 1e-6)
        weight = np.exp(np.log(cosine) * exponent) * solid_angle.reshape(-1)
        blurred = weight @ source.reshape(-1, 3) / weight.sum(1, keepdims=True)
        levels.append(blurred.reshape(*directions.shape).astype(np.float32))
    return levels


def light_pool(environment: FloatArray) -> LightPool:
    """Prepare a map, (h, 2h, 3), to draw lights in proportion to their share of the light."""
    directions, solid_angle = map_directions(environment.shape[0])
    height = directions[..., 1]
    energy = environment.mean(-1) * solid_angle * np.sqrt(np.maximum(height, 0))
    used = (energy > 0) & (height > 0.03)
    share = energy[used] / energy[used].sum()
    weight = solid_angle[used] / share
    return LightPool(directions[used], environment[used] * weight[:, None], np.cumsum(share))


def draw_lights(pool: LightPool, turn: float, count: int, rng: np.random.Generator) -> LightSet:
    """Draw directional lights that together stand for a map turned about +y by radians."""
    ticks = (np.arange(count) + rng.random(count)) / count
    chosen = np.searchsorted(pool.reached, ticks).clip(0, len(pool.reached) - 1)
    directions = turn_about_y(pool.directions[chosen], turn)
    return LightSet(directions, pool.irradiance[chosen] / count)


def _harmonic_basis(directions: FloatArray) -> FloatArray:
    x, y, z = directions[..., 0], directions[..., 1], directions[..., 2]
    return np.stack(
        [
            np.full_like(x, 0.282095),
            0.488603 * y,
            0.488603 * z,
            0.488603 * x,
            1.092548 * x * y,
            1.092548 * y * z,
            0.315392 * (3 * z * z - 1),
            1.092548 * x * z,
            0.546274 * (x * x - y * y),
        ],
        axis=-1,
    )


_PROBES: FloatArray = np.random.default_rng(0).normal(size=(32, 3))
_PROBES /= np.linalg.norm(_PROBES, axis=1, keepdims=True)
_VALUES_FROM_PROBES: FloatArray = np.linalg.pinv(_harmonic_basis(_PROBES))
"""Harmonics, (9, 32), of a function known in the directions of the probes."""
