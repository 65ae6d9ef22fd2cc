"""Draw triangle meshes into small pictures, in NumPy alone."""

from dataclasses import dataclass

import numpy as np

from points2objects.geometry import ByteArray, FloatArray, IntArray

SUPERSAMPLING = 2
_MOST_FRAGMENTS = 2_000_000
_SUN = np.array([-0.35, 0.8, -0.5]) / np.linalg.norm([-0.35, 0.8, -0.5])


@dataclass(frozen=True)
class Triangles:
    """Coloured triangles.

    Attributes:
        corners: (t, 3, 3): triangle, corner, coordinate.
        colors: (t, 3) RGB, 0..1.
        shaded: Whether light falls on them, (t,); markings have one flat colour.
    """

    corners: FloatArray
    colors: FloatArray
    shaded: ByteArray

    @classmethod
    def join(cls, *parts: "Triangles") -> "Triangles":
        """Return all triangles of some sets."""
        return cls(
            np.concatenate([part.corners for part in parts]),
            np.concatenate([part.colors for part in parts]),
            np.concatenate([part.shaded for part in parts]),
        )


@dataclass(frozen=True)
class View:
    """A parallel projection.

    Attributes:
        direction: Unit vector from the scene towards the camera, (3,).
        target: Point in the middle of the picture, (3,).
        height: Length that the picture's height shows.
    """

    direction: FloatArray
    target: FloatArray
    height: float

    @classmethod
    def around(cls, points: FloatArray, direction: FloatArray) -> "View":
        """Return the view from a direction that shows all points, with a small margin."""
        axes = cls(direction, np.zeros(3), 1.0).axes()
        seen = axes @ points.T
        low, high = seen.min(axis=1), seen.max(axis=1)
        target = (low + high) / 2 @ axes
        return cls(direction, target, 1.06 * float((high - low)[:2].max()))

    def axes(self) -> FloatArray:
        """Return the directions right, down and towards the camera as rows, (3, 3)."""
        right = np.cross([0.0, 1.0, 0.0], self.direction)
        right /= np.linalg.norm(right)
        return np.stack([right, -np.cross(self.direction, right), self.direction])

    def project(self, points: FloatArray, size: int) -> FloatArray:
        """Return column, row in pixels and distance towards the camera, (..., 3)."""
        seen = (points - self.target) @ self.axes().T
        seen[..., :2] = seen[..., :2] * (size / self.height) + size / 2
        return np.asarray(seen)


def draw(scene: Triangles, view: View, size: int) -> ByteArray:
    """Draw triangles on white, (size, size, 3) uint8, from both sides and with soft edges."""
    large = size * SUPERSAMPLING
    corners = view.project(scene.corners, large)
    depth = np.full(large * large, -np.inf)
    owner = np.full(large * large, -1)
    for some in _portions(corners, large):
        triangle, pixel, height = _fragments(corners[some], large)
        np.maximum.at(depth, pixel, height)
        front = height == depth[pixel]
        owner[pixel[front]] = some[triangle[front]]
    hit = owner >= 0
    picture = np.ones((large * large, 3))
    picture[hit] = _lit(scene, view)[owner[hit]]
    picture = (
        picture.reshape(large, large, 3) * _edges(depth.reshape(large, large), view)[..., None]
    )
    blocks = picture.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING, 3).mean(axis=(1, 3))
    return np.asarray((np.clip(blocks, 0.0, 1.0) * 255).round(), np.uint8)


def _lit(scene: Triangles, view: View) -> FloatArray:
    """Return each triangle's colour in the light of sun, sky and camera."""
    a, b, c = scene.corners[:, 0], scene.corners[:, 1], scene.corners[:, 2]
    normal = np.cross(b - a, c - a)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    normal *= np.where(normal @ view.direction < 0, -1.0, 1.0)[:, None]  # towards the camera
    light = 0.34 + 0.14 * normal[:, 1] + 0.34 * np.maximum(normal @ _SUN, 0.0)
    light += 0.26 * np.maximum(normal @ view.direction, 0.0)
    light = np.where(scene.shaded, light, 1.0)
    return np.asarray(scene.colors * light[:, None])


def _edges(depth: FloatArray, view: View) -> FloatArray:
    """Return a factor that darkens where the surface jumps in depth, (h, w)."""
    padded = np.pad(np.where(np.isfinite(depth), depth, -1e3), 1, mode="edge")
    middle = padded[1:-1, 1:-1]
    around = np.stack([padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]])
    # Only the nearer side of a jump is darkened, so outlines stay thin.
    drop = np.max(middle - around, axis=0)
    return np.where(np.isfinite(depth) & (drop > 0.04 * view.height), 0.55, 1.0)


def _portions(corners: FloatArray, size: int) -> list[IntArray]:
    """Split the triangles so that each portion covers a bounded number of pixels."""
    span = _spans(corners, size)[1]
    total = np.cumsum(span[:, 0] * span[:, 1])
    if not len(total):
        return []
    return [
        part
        for part in np.split(
            np.arange(len(total)), np.flatnonzero(np.diff(total // _MOST_FRAGMENTS)) + 1
        )
        if len(part)
    ]


def _spans(corners: FloatArray, size: int) -> tuple[IntArray, IntArray]:
    """Return first column and row, and number of columns and rows, of each triangle's box."""
    flat = corners[:, :, :2] - 0.5
    low = np.maximum(np.ceil(flat.min(axis=1)).astype(int), 0)
    high = np.minimum(np.floor(flat.max(axis=1)).astype(int), size - 1)
    return low, np.maximum(high - low + 1, 0)


def _fragments(corners: FloatArray, size: int) -> tuple[IntArray, IntArray, FloatArray]:
    """Return triangle, pixel and distance towards the camera of every pixel that is covered."""
    low, span = _spans(corners, size)
    count = span[:, 0] * span[:, 1]
    triangle = np.repeat(np.arange(len(count)), count)
    within = np.arange(len(triangle)) - np.repeat(np.cumsum(count) - count, count)
    column = low[triangle, 0] + within % np.maximum(span[triangle, 0], 1)
    row = low[triangle, 1] + within // np.maximum(span[triangle, 0], 1)
    a, b, c = (corners[triangle, i] for i in range(3))
    x, y = column + 0.5, row + 0.5
    doubled = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (c[:, 0] - a[:, 0]) * (b[:, 1] - a[:, 1])
    safe = np.where(np.abs(doubled) > 1e-12, doubled, np.inf)
    at_a = ((b[:, 0] - x) * (c[:, 1] - y) - (c[:, 0] - x) * (b[:, 1] - y)) / safe
    at_b = ((c[:, 0] - x) * (a[:, 1] - y) - (a[:, 0] - x) * (c[:, 1] - y)) / safe
    at_c = 1.0 - at_a - at_b
    covered = (at_a >= 0) & (at_b >= 0) & (at_c >= 0) & np.isfinite(safe)
    height = at_a * a[:, 2] + at_b * b[:, 2] + at_c * c[:, 2]
    return triangle[covered], (row * size + column)[covered], height[covered]
