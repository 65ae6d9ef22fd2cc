"""The drawables of a scene joined to one mesh per kind of surface, with colours and textures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from p2o_train.rendering.materials import Material
from p2o_train.rendering.scene import Drawable
from points2objects.camera import Camera
from points2objects.geometry import FloatArray, IntArray, transform_points

DISPLAY_POWER = 2.2
"""Texture and model colours are read as this power of their stored values, as in `shaders.py`."""


@dataclass(frozen=True)
class JoinedMesh:
    """Triangles of several drawables, three vertices of its own each, level frame.

    Attributes:
        numbers: (d,), index in the scene of each drawable.
        positions: (3 f, 3).
        normals: (3 f, 3), unit.
        uv: (3 f, 2), texture coordinates; row 0 of a texture is at v = 0.
        colors: (f, 3), linear RGB before texturing.
        slot: (f,), index into `numbers` of each triangle.
    """

    numbers: IntArray
    positions: FloatArray
    normals: FloatArray
    uv: FloatArray
    colors: FloatArray
    slot: IntArray


def join(drawables: Sequence[Drawable], numbers: Sequence[int]) -> JoinedMesh:
    """Join some drawables of a scene, chosen by their index."""
    parts = [_placed(drawables[number]) for number in numbers]
    slot = np.repeat(np.arange(len(parts)), [len(part[0]) // 3 for part in parts])
    positions, normals, uv, colors = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return JoinedMesh(np.asarray(numbers), positions, normals, uv, colors, slot)


def out_of_sight(drawable: Drawable, camera: Camera) -> bool:
    """Tell whether a box lies wholly beyond one side of the camera's view."""
    corners = transform_points(np.linalg.inv(camera.pose), drawable.box.corners())
    x, y, z = (corners @ camera.K.T).T
    sides = (x, camera.width * z - x, y, camera.height * z - y, z)
    return any(bool((side < 0).all()) for side in sides)


def _placed(drawable: Drawable) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    mesh, box, corner = drawable.mesh, drawable.box, drawable.mesh.faces.ravel()
    flat = mesh.normals[corner] / box.scale
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    cube = np.asarray(mesh.positions[corner], dtype=np.float64)
    uv = _uv(drawable, cube, flat)
    return (
        transform_points(box.matrix(), cube), flat @ box.rotation.T, uv,
        _base_colors(drawable, corner),
    )  # fmt: skip


def _uv(drawable: Drawable, cube: FloatArray, normals: FloatArray) -> FloatArray:
    """Lay a texture along each triangle's most even side; the photo along the board's x-y."""
    if drawable.material.photo:
        return cube[:, :2] * [1, -1] + 0.5
    place = cube * drawable.box.scale
    facing = np.abs(normals.reshape(-1, 3, 3).sum(1))
    x, y, z = facing.T
    axis = np.where(y > np.maximum(x, z), 1, np.where(x > z, 0, 2))
    planes = np.array([[2, 1], [0, 2], [0, 1]])[np.repeat(axis, 3)]
    return np.asarray(np.take_along_axis(place, planes, axis=1) * drawable.material.repeats)


def _base_colors(drawable: Drawable, corner: IntArray) -> FloatArray:
    material: Material = drawable.material
    painted = material.palette[drawable.mesh.parts[corner] % len(material.palette)]
    own = (drawable.mesh.colors[corner] / 255.0) ** DISPLAY_POWER * material.tint
    mixed = painted + (own - painted) * material.own_color
    return np.asarray(mixed.reshape(-1, 3, 3).mean(1))
