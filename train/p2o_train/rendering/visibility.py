"""How much of each object a picture shows."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from p2o_train.rendering.opengl import UploadedMesh, set_uniforms
from p2o_train.rendering.projection import clip_from_camera, clip_from_level
from p2o_train.rendering.scene import Drawable, RenderScene
from points2objects.camera import Camera
from points2objects.geometry import FloatArray, IntArray

WIDE_FACTOR = 3.0
"""The wide view that tells how much of an object the frame cuts off shows 3 x 3 frames."""


class VisibilityCounter:
    """Draws objects alone to compare them with what the picture shows of them."""

    def __init__(
        self, gl: Any, size_px: int, program: Any, uploaded: Callable[[Drawable], UploadedMesh]
    ) -> None:
        self._gl = gl
        self._size = size_px
        self._program = program
        self._uploaded = uploaded
        self._buffer = gl.framebuffer([gl.renderbuffer((size_px, size_px), 4)])

    def visible_fraction(self, scene: RenderScene, owner: IntArray) -> FloatArray:
        """Return the visible share of each labelled object, (n,).

        Args:
            scene: The scene.
            owner: Which object covers each pixel, (s, s), -1 for none.
        """
        objects, size = scene.objects, self._size
        camera_from_level = np.linalg.inv(scene.camera.pose)
        alone = self._masks(objects, clip_from_level(scene.camera)).sum((0, 1))
        wide = self._masks(objects, _widened(scene.camera) @ camera_from_level)
        edge = round(size * (1 - 1 / WIDE_FACTOR) / 2)
        inside = wide[edge : size - edge, edge : size - edge].sum((0, 1))
        shown = np.bincount(owner[owner >= 0], minlength=len(objects))
        in_frame = inside / np.maximum(wide.sum((0, 1)), 1)
        return np.asarray(shown / np.maximum(alone, 1) * in_frame)

    def _masks(
        self, objects: Sequence[Drawable], clip_from_world: FloatArray
    ) -> npt.NDArray[np.bool_]:
        """Draw each object alone, (s, s, n); four share the channels of one buffer."""
        gl, size, masks = self._gl, self._size, []
        gl.disable(gl.DEPTH_TEST)
        self._buffer.use()
        gl.viewport = (0, 0, size, size)
        set_uniforms(self._program, clip_from_level=clip_from_world)
        for start in range(0, len(objects), 4):
            self._write_channels((True, True, True, True))
            self._buffer.clear(0, 0, 0, 0)
            for channel, drawable in enumerate(objects[start : start + 4]):
                self._write_channels(tuple(k == channel for k in range(4)))
                set_uniforms(self._program, level_from_mesh=drawable.box.matrix())
                self._uploaded(drawable).mask.render()
            data = np.frombuffer(self._buffer.read(components=4), np.uint8)
            masks.append(data.reshape(size, size, 4)[::-1] > 0)
        self._write_channels((True, True, True, True))
        return np.concatenate(masks, axis=-1)[..., : len(objects)]

    def _write_channels(self, channels: tuple[bool, ...]) -> None:
        self._buffer.color_mask = channels
        self._buffer.use()  # A bound buffer takes over a new mask only when bound again.


def _widened(camera: Camera) -> FloatArray:
    K = camera.K.copy()
    K[0, 0] /= WIDE_FACTOR
    K[1, 1] /= WIDE_FACTOR
    return clip_from_camera(K, camera.width, camera.height)
