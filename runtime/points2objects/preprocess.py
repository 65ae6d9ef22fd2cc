"""From a camera frame to the square view that the network is made for.

The two cameras stand at the same place and differ by a turn about the optical axis and by
intrinsics, so the map between their pixels is affine. Shrinking is anti-aliased: the frame is first
reduced by whole-number block averages, then sampled bilinearly.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from points2objects.camera import Camera, canonical_camera
from points2objects.errors import InputError
from points2objects.geometry import ByteArray, FloatArray
from points2objects.spec import ModelSpec

STRIP_ROWS = 16
"""Rows drawn at a time: few enough that what is in between stays in the processor's cache."""


@dataclass(frozen=True, eq=False)
class CanonicalImage:
    """The network's view of a frame.

    Attributes:
        image: (s, s, 3) uint8 RGB; the spec's mean colour where the frame does not reach.
        camera: Its camera; has a pose when the frame's has one.
    """

    image: ByteArray
    camera: Camera


def check_image(image: npt.NDArray[Any], camera: Camera | None = None) -> None:
    """Check that an image is (h, w, 3) uint8 RGB, of the camera's size.

    Raises:
        InputError: It is grey, has an alpha channel, is not uint8, or has another size.
    """
    if not isinstance(image, np.ndarray):
        raise InputError(f"image: expected a NumPy array (h, w, 3), got {type(image).__name__}")
    hint = {
        2: "; it is grey: repeat it three times along a new last axis",
        3: "; it has an alpha channel: pass image[..., :3]" if image.shape[-1:] == (4,) else "",
    }.get(image.ndim, "")
    if image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"image: expected RGB of shape (h, w, 3), got {image.shape}{hint}")
    if image.dtype != np.uint8:
        raise InputError(
            f"image: expected uint8 in 0..255, got {image.dtype}; scale it and convert with "
            "astype(np.uint8)"
        )
    if image.size == 0:
        raise InputError(f"image: is empty, shape {image.shape}")
    height, width = image.shape[:2]
    if camera is not None and (camera.width, camera.height) != (width, height):
        raise InputError(
            f"image: is {width}x{height}, but its camera is {camera.width}x{camera.height}; pass "
            "the intrinsics of this very image (they scale with its size)"
        )


def preprocess(image: ByteArray, camera: Camera, spec: ModelSpec) -> CanonicalImage:
    """Resample a frame into the canonical view.

    Args:
        image: (h, w, 3) uint8 RGB.
        camera: Its camera, with or without a pose.
        spec: Says size, field of view and mean colour.

    Raises:
        InputError: The image is not RGB uint8 or not of the camera's size.
    """
    check_image(image, camera)
    canonical = canonical_camera(camera, spec.fov_deg, spec.input_size)
    fill = np.rint(spec.mean).astype(np.uint8)
    frame_from_canonical = pixel_map(camera, canonical)
    return CanonicalImage(resample(image, frame_from_canonical, spec.input_size, fill), canonical)


def pixel_map(camera: Camera, canonical: Camera) -> FloatArray:
    """Return `frame_from_canonical`, (3, 3): an affine map of homogeneous pixels."""
    rotation = np.eye(3)
    if camera.world_from_camera is not None:
        rotation = camera.pose[:3, :3].T @ canonical.pose[:3, :3]
    affine = camera.K @ rotation @ np.linalg.inv(canonical.K)
    affine[2] = [0.0, 0.0, 1.0]  # Exactly so, because both look along the same axis.
    return np.asarray(affine)


def map_pixels(b_from_a: FloatArray, pixels: FloatArray) -> FloatArray:
    """Apply an affine map (3, 3) to pixels, (n, 2)."""
    return np.asarray(pixels @ b_from_a[:2, :2].T + b_from_a[:2, 2])


def resample(
    image: ByteArray, frame_from_view: FloatArray, size_px: int, fill: ByteArray
) -> ByteArray:
    """Draw an affine view of an image, anti-aliased.

    Args:
        image: (h, w, 3) uint8.
        frame_from_view: (3, 3), affine, pixels with (0, 0) at the corner.
        size_px: Side of the square view.
        fill: (3,) uint8, colour where the view leaves the image.

    Returns:
        (size_px, size_px, 3) uint8.
    """
    height, width = image.shape[:2]
    (a, b, c), (d, e, f) = frame_from_view[:2].tolist()
    # The rows of the map hold how many frame pixels one view pixel spans, whatever the turn.
    # A block larger than the frame would be padded with copies of its rim, without end.
    block_x, block_y = (
        min(max(1, round(float(np.hypot(*row)))), size)
        for row, size in (((a, b), width), ((d, e), height))
    )
    corners = map_pixels(frame_from_view, np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]) * size_px)
    left, right = _seen_blocks(corners[:, 0], width, block_x)
    top, bottom = _seen_blocks(corners[:, 1], height, block_y)
    reduced = reduce_blocks(image[top:bottom, left:right], block_y, block_x)
    # One plane per colour: NumPy is slow on a last axis of three.
    planes = np.ascontiguousarray(reduced.transpose(2, 0, 1)).astype(np.float32)

    view = np.zeros((size_px, size_px, 3), dtype=np.uint8)
    centers = np.arange(size_px) + 0.5
    for first in range(0, size_px, STRIP_ROWS):
        rows = slice(first, first + STRIP_ROWS)
        x = (a * centers + c) + (b * centers[rows])[:, None]
        y = (d * centers + f) + (e * centers[rows])[:, None]
        outside = (x < 0) | (x > width) | (y < 0) | (y > height)
        strip = _bilinear(planes, (x - left) / block_x, (y - top) / block_y)
        strip[outside] = fill
        view[rows] = strip
    return view


def reduce_blocks(image: ByteArray, block_y: int, block_x: int) -> ByteArray:
    """Average blocks of pixels; the last row and column are repeated to fill theirs.

    OpenCV does the same faster when it is installed.
    """
    if block_x == block_y == 1:
        return image
    pad_y, pad_x = -image.shape[0] % block_y, -image.shape[1] % block_x
    if pad_y or pad_x:
        image = np.pad(image, ((0, pad_y), (0, pad_x), (0, 0)), mode="edge")
    cv2 = _opencv()
    if cv2 is not None:
        size = (image.shape[1] // block_x, image.shape[0] // block_y)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    return _mean_blocks(image, block_y, block_x)


def _opencv() -> Any | None:
    """Return OpenCV if it is there; asked at call time, so that importing us stays light."""
    try:
        return import_module("cv2")
    except ImportError:
        return None


def _mean_blocks(image: ByteArray, block_y: int, block_x: int) -> ByteArray:
    count = block_x * block_y
    # Sixteen bits hold the sum of 256 pixels, and adding them is several times faster.
    dtype: npt.DTypeLike = np.uint16 if count <= 256 else np.uint32
    rows: npt.NDArray[Any] = np.array(image[0::block_y], dtype=dtype)
    for offset in range(1, block_y):
        rows += image[offset::block_y]
    total: npt.NDArray[Any] = np.array(rows[:, 0::block_x])
    for offset in range(1, block_x):
        total += rows[:, offset::block_x]
    return np.asarray((total + count // 2) // count, dtype=np.uint8)


def _seen_blocks(corners: FloatArray, size: int, block: int) -> tuple[int, int]:
    """Return the range of pixels to keep along an axis: whole blocks, one more than is seen.

    Args:
        corners: Positions of the view's corners along the axis; an affine map is extreme there.
        size: Pixels of the image along the axis.
        block: Pixels of a block.
    """
    first = int(np.clip(corners.min(), 0, size)) // block - 1
    last = int(np.clip(corners.max(), 0, size)) // block + 2
    return max(0, first * block), min(size, last * block)


def _bilinear(planes: npt.NDArray[np.float32], x: FloatArray, y: FloatArray) -> ByteArray:
    """Sample (3, h, w) at pixel positions (r, s); positions past the rim take the rim's colour."""
    _, height, width = planes.shape
    x, column, next_column = _cells(x, width)
    y, row, next_row = _cells(y, height)
    corner = row * np.intp(width) + column
    flat = planes.reshape(3, -1)
    upper, lower = flat.take(corner, axis=1), flat.take(corner + next_row * width, axis=1)
    upper += (flat.take(corner + next_column, axis=1) - upper) * x
    lower += (flat.take(corner + next_row * width + next_column, axis=1) - lower) * x
    upper += (lower - upper) * y
    return np.asarray(np.rint(upper).astype(np.uint8).transpose(1, 2, 0))


def _cells(
    positions: FloatArray, size: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp], int]:
    """Split pixel positions into share of the next pixel, the pixel, and the step to the next."""
    clipped = np.clip(positions - 0.5, 0, size - 1)
    first = np.minimum(clipped.astype(np.intp), max(size - 2, 0))
    return (clipped - first).astype(np.float32), first, min(1, size - 1)
