"""From radiance to the picture: the rasteriser's tone curve in NumPy, and what lies behind."""

import numpy as np

from p2o_train.rendering.environment import shrink, turn_about_y
from p2o_train.rendering.scene import RenderScene
from points2objects.camera import Camera
from points2objects.geometry import FloatArray

DARKEST_GAIN, BRIGHTEST_GAIN = 0.25, 16.0


def display(radiance: FloatArray, exposure: FloatArray, gamma: float) -> FloatArray:
    """Apply exposure, tone curve and gamma as `shaders.py` does, (..., 3) linear -> 0..1."""
    x = np.maximum(radiance, 0) * exposure
    curve = x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)
    return np.asarray(np.clip(curve, 0, 1) ** gamma)


def undisplay(shown: FloatArray, exposure: FloatArray, gamma: float) -> FloatArray:
    """Return the radiance that `display` shows as (..., 3) in 0..1."""
    # The curve solved for x: (2.51 - 2.43 y) x^2 + (0.03 - 0.59 y) x - 0.14 y = 0.
    y = np.clip(shown, 0, 1) ** (1 / gamma)
    a, b = 2.51 - 2.43 * y, 0.03 - 0.59 * y
    return np.asarray((np.sqrt(b * b + 0.56 * a * y) - b) / (2 * a) / exposure)


def matching_gain(radiance: FloatArray, reference: FloatArray, scene: RenderScene) -> float:
    """Return the factor on the exposure that makes a picture as bright as another on average.

    Args:
        radiance: Linear, (n, 3).
        reference: Displayed, (n, 3) in 0..1.
        scene: For its tone curve.
    """
    if len(reference) == 0:
        return 1.0
    wanted = float(reference.mean())
    low, high, gain = DARKEST_GAIN, BRIGHTEST_GAIN, 1.0
    for _ in range(12):
        gain = float(np.sqrt(low * high))
        dark = display(radiance * gain, scene.exposure, scene.gamma).mean() < wanted
        low, high = (gain, high) if dark else (low, gain)
    return gain


def look_up(pixels: FloatArray, directions: FloatArray) -> FloatArray:
    """Read an environment map, (h, 2h, 3), in directions (..., 3), between pixels bilinearly."""
    height, width, _ = pixels.shape
    x, y, z = directions[..., 0], directions[..., 1], directions[..., 2]
    column = np.arctan2(x, -z) / (2 * np.pi) * width - 0.5
    row = np.arccos(np.clip(y, -1, 1)) / np.pi * height - 0.5
    left, top = np.floor(column).astype(int), np.floor(row).astype(int)
    right_share, low_share = (column - left)[..., None], (row - top)[..., None]
    total: FloatArray = np.zeros(())
    for down, row_share in ((0, 1 - low_share), (1, low_share)):
        for aside, column_share in ((0, 1 - right_share), (1, right_share)):
            texel = pixels[(top + down).clip(0, height - 1), (left + aside) % width]
            total = total + texel * row_share * column_share
    return total


def pixel_rays(camera: Camera, grid: int) -> FloatArray:
    """Return unit directions through grid x grid points of each pixel, level frame, (., ., 3)."""
    column = (np.arange(camera.width * grid) + 0.5) / grid
    row = (np.arange(camera.height * grid) + 0.5) / grid
    pixels = np.stack([*np.meshgrid(column, row), np.ones((len(row), len(column)))], -1)
    directions = pixels @ np.linalg.inv(camera.K).T @ camera.pose[:3, :3].T
    return np.asarray(directions / np.linalg.norm(directions, axis=-1, keepdims=True))


def backdrop(scene: RenderScene) -> FloatArray:
    """Return what lies behind everything, displayed, (s, s, 3) in 0..1."""
    camera = scene.camera
    if scene.photo_backdrop and scene.photo is not None:
        return photo_on_screen(scene)
    lighting = scene.lighting
    in_map = turn_about_y(pixel_rays(camera, 1), -lighting.turn)
    sharp = lighting.environment.backdrop
    level = int(scene.backdrop_blur)
    finer, coarser = (
        look_up(shrink(sharp, max(sharp.shape[0] >> k, 1)), in_map) for k in (level, level + 1)
    )
    seen = finer + (coarser - finer) * (scene.backdrop_blur - level)
    return display(seen * lighting.strength, scene.exposure, scene.gamma)


def photo_on_screen(scene: RenderScene) -> FloatArray:
    """Return the scene's photo at the picture's size, (s, s, 3) in 0..1."""
    from PIL import Image

    assert scene.photo is not None
    size = (scene.camera.width, scene.camera.height)
    resized = Image.fromarray(scene.photo).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float64) / 255
