"""How much of each object a picture shows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from p2o_train.data.sample import BoolArray
from p2o_train.rendering import shaders
from p2o_train.rendering.opengl import MeshProgram, MeshStore, set_uniforms
from p2o_train.rendering.projection import clip_from_camera, clip_from_level
from p2o_train.rendering.scene import Drawable, RenderScene
from points2objects.camera import Camera
from points2objects.geometry import FloatArray, IntArray

WIDE_FACTOR = 3.0
"""The wide view that tells how much of an object the frame cuts off shows 3 x 3 frames."""


class VisibilityCounter:
    """Draws objects alone to compare them with what the picture shows of them."""

    def __init__(self, gl: Any, size_px: int, meshes: MeshStore) -> None:
        self._gl = gl
        self._size = size_px
        self._meshes = meshes
        self._way = MeshProgram(gl.program(shaders.DEPTH_VERTEX, shaders.MASK_FRAGMENT), "place")
        self._buffer = gl.framebuffer([gl.renderbuffer((size_px, size_px), 4)])

    def visible_fraction(self, scene: RenderScene, owner: IntArray) -> FloatArray:
        """Return the visible share of each labelled object, (n,).

        Args:
            scene: The scene.
            owner: Which object covers each pixel, (s, s), -1 for none.
        """
        objects = scene.objects
        shown = np.bincount(owner[owner >= 0], minlength=len(objects))
        alone = self._masks(objects, clip_from_level(scene.camera)).sum((1, 2))
        return np.asarray(shown / np.maximum(alone, 1) * self._in_frame(scene, objects))

    def _in_frame(self, scene: RenderScene, objects: Sequence[Drawable]) -> FloatArray:
        """Return the share of each object's own pixels that the frame does not cut off, (n,)."""
        shares = np.ones(len(objects))
        cut = [i for i, drawable in enumerate(objects) if not _within(scene.camera, drawable)]
        if cut:
            project = _widened(scene.camera) @ np.linalg.inv(scene.camera.pose)
            wide = self._masks([objects[i] for i in cut], project)
            edge = round(self._size * (1 - 1 / WIDE_FACTOR) / 2)
            inside = wide[:, edge : self._size - edge, edge : self._size - edge].sum((1, 2))
            shares[cut] = inside / np.maximum(wide.sum((1, 2)), 1)
        return shares

    def _masks(self, objects: Sequence[Drawable], clip_from_level: FloatArray) -> BoolArray:
        """Draw each object alone, (n, s, s); four share the channels of one buffer."""
        gl, size, masks = self._gl, self._size, []
        gl.disable(gl.DEPTH_TEST)
        self._buffer.use()
        gl.viewport = (0, 0, size, size)
        set_uniforms(self._way.program, clip_from_level=clip_from_level)
        for start in range(0, len(objects), 4):
            self._write_channels((True, True, True, True))
            self._buffer.clear(0, 0, 0, 0)
            for channel, drawable in enumerate(objects[start : start + 4]):
                self._write_channels(tuple(k == channel for k in range(4)))
                set_uniforms(self._way.program, level_from_mesh=drawable.box.matrix())
                self._meshes(drawable).draw(self._way)
            data = np.frombuffer(self._buffer.read(components=4), np.uint8)
            masks.append(data.reshape(size, size, 4)[::-1].transpose(2, 0, 1) > 0)
        self._write_channels((True, True, True, True))
        return np.concatenate(masks)[: len(objects)]

    def _write_channels(self, channels: tuple[bool, ...]) -> None:
        self._buffer.color_mask = channels
        self._buffer.use()  # A bound buffer takes over a new mask only when bound again.


def _within(camera: Camera, drawable: Drawable) -> bool:
    """Tell whether a box lies in the frame."""
    x, y, depth = camera.project(drawable.box.corners()).T
    inside = (x > 0) & (x < camera.width) & (y > 0) & (y < camera.height)
    return bool((inside & (depth > 0)).all())


def _widened(camera: Camera) -> FloatArray:
    K = camera.K.copy()
    K[0, 0] /= WIDE_FACTOR
    K[1, 1] /= WIDE_FACTOR
    return clip_from_camera(K, camera.width, camera.height)
