"""What the renderer needs of OpenGL: a context, textures, meshes and uniforms."""

import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from p2o_train.rendering.meshes import RenderMesh
from p2o_train.rendering.scene import Drawable
from points2objects.errors import InputError
from points2objects.geometry import ByteArray, FloatArray

MESHES_KEPT = 1500

VERTEX_LAYOUTS = {
    "place": ("3f 16x", ("in_position",)),
    "coarse place": ("3f 16x", ("in_position",)),
    "normal": ("3f 3f 4x", ("in_position", "in_normal")),
    "full": ("3f 3f 4f1", ("in_position", "in_normal", "in_color")),
}


@dataclass(frozen=True)
class MeshProgram:
    """A program that draws meshes, and which part of a vertex it reads."""

    program: Any
    layout: str


class UploadedMesh:
    """A mesh on the OpenGL side; it is bound to a program when that first draws it."""

    def __init__(self, gl: Any, mesh: RenderMesh) -> None:
        rgba = np.concatenate([mesh.colors, mesh.parts[:, None]], axis=1).astype(np.uint8)
        floats = np.concatenate([mesh.positions, mesh.normals], axis=1).astype("f4")
        data = np.concatenate([floats.view(np.uint8).reshape(len(rgba), -1), rgba], axis=1)
        self._gl = gl
        self._vertices = gl.buffer(data.tobytes())
        triangles = {"place": mesh.outline, "coarse place": mesh.coarse}
        self._indices = {
            layout: gl.buffer(triangles.get(layout, mesh.faces).astype("i4").tobytes())
            for layout in VERTEX_LAYOUTS
        }
        self._arrays: dict[Any, Any] = {}

    def draw(self, way: MeshProgram, instances: int = 1) -> None:
        """Draw it with a program."""
        array = self._arrays.get(way.program)
        if array is None:
            layout, names = VERTEX_LAYOUTS[way.layout]
            array = self._arrays[way.program] = self._gl.vertex_array(
                way.program,
                [(self._vertices, layout, *names)],
                self._indices[way.layout],
                skip_errors=True,
            )
        array.render(instances=instances)

    def release(self) -> None:
        """Free what was uploaded."""
        for part in (*self._arrays.values(), self._vertices, *self._indices.values()):
            part.release()


class MeshStore:
    """Uploads meshes, and keeps those that were drawn last."""

    def __init__(self, gl: Any) -> None:
        self._gl = gl
        self._meshes: OrderedDict[str, UploadedMesh] = OrderedDict()

    def __call__(self, drawable: Drawable) -> UploadedMesh:
        """Return a drawable's mesh."""
        found = self._meshes.pop(drawable.key, None)
        if found is None:
            found = UploadedMesh(self._gl, drawable.mesh)
        self._meshes[drawable.key] = found
        if len(self._meshes) > MESHES_KEPT:
            self._meshes.popitem(last=False)[1].release()
        return found


def create_context() -> Any:
    """Open OpenGL 3.3 without a screen.

    Raises:
        InputError: EGL or a driver is missing; says what to install.
    """
    # One thread a process: datasets are rendered by as many processes as there are cores.
    os.environ.setdefault("LP_NUM_THREADS", "1")
    import moderngl

    options: dict[str, Any] = {"backend": "egl"}
    try:
        return moderngl.create_context(standalone=True, require=330, **options)
    except Exception as error:
        raise InputError(
            f"rendering needs OpenGL 3.3 through EGL, which did not start ({error}); on Debian or "
            "Ubuntu: apt-get install libegl1 libegl-mesa0 libgl1 libgl1-mesa-dri"
        ) from error


def plain_texture(gl: Any, size: tuple[int, int], dtype: str) -> Any:
    """Make an RGBA texture to draw into and to fetch from."""
    texture = gl.texture(size, 4, dtype=dtype)
    texture.filter = (gl.NEAREST, gl.NEAREST)
    return texture


def depth_texture(gl: Any, side: int) -> Any:
    """Make a square shadow map whose depths are read, not compared."""
    texture = gl.depth_texture((side, side))
    texture.compare_func = ""
    texture.filter = (gl.NEAREST, gl.NEAREST)
    texture.repeat_x = texture.repeat_y = False
    return texture


def environment_texture(gl: Any, pixels: FloatArray) -> Any:
    """Make a texture with mip levels of an environment map, (h, 2h, 3)."""
    height, width, _ = pixels.shape
    texture = gl.texture((width, height), 4, with_alpha(pixels, 1.0).tobytes(), dtype="f4")
    texture.build_mipmaps(0, 5)
    # One level is enough: roughness, which chooses it, does not change along a surface.
    texture.filter = (gl.LINEAR_MIPMAP_NEAREST, gl.LINEAR)
    texture.repeat_y = False
    return texture


def picture_texture(gl: Any, size: tuple[int, int]) -> Any:
    """Make an RGBA texture of bytes, without mip levels, to be written again and again."""
    texture = gl.texture(size, 4)
    texture.filter = (gl.LINEAR, gl.LINEAR)
    texture.repeat_x = texture.repeat_y = False
    return texture


def with_alpha(pixels: ByteArray | FloatArray, alpha: float) -> Any:
    """Add a fourth channel, (..., 4): software rasterisers read aligned texels faster."""
    kind = np.uint8 if pixels.dtype == np.uint8 else np.float32
    return np.concatenate([pixels, np.full((*pixels.shape[:-1], 1), alpha)], axis=-1).astype(kind)


def bind(program: Any, textures: Mapping[str, Any]) -> None:
    """Connect textures to a program's samplers."""
    for unit, (name, texture) in enumerate(textures.items()):
        sampler = program.get(name, None)
        if sampler is not None:
            texture.use(unit)
            sampler.value = unit


def set_uniforms(program: Any, **values: object) -> None:
    """Set uniforms; a compiler may have dropped some. Matrices are written column by column."""
    for name, value in values.items():
        uniform = program.get(name, None)
        if uniform is None:
            continue
        if isinstance(value, np.ndarray):
            matrix = "_from_" in name or name == "normal_matrix"
            columns = np.swapaxes(value, -1, -2) if matrix else value
            uniform.write(np.asarray(columns, "f4").tobytes())
        else:
            uniform.value = value
