"""What the renderer needs of OpenGL: a context, textures, meshes and uniforms."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from p2o_train.rendering.meshes import RenderMesh
from points2objects.errors import InputError
from points2objects.geometry import FloatArray


class UploadedMesh:
    """A mesh on the OpenGL side, bound to each program."""

    def __init__(self, gl: Any, mesh: RenderMesh, programs: Sequence[Any]) -> None:
        rgba = np.concatenate([mesh.colors, mesh.parts[:, None]], axis=1).astype(np.uint8)
        floats = np.concatenate([mesh.positions, mesh.normals], axis=1).astype("f4")
        data = np.concatenate([floats.view(np.uint8).reshape(len(rgba), -1), rgba], axis=1)
        vertices = gl.buffer(np.ascontiguousarray(data).tobytes())
        indices = gl.buffer(mesh.faces.astype("i4").tobytes())
        full = [(vertices, "3f 3f 4f1", "in_position", "in_normal", "in_color")]
        plain = [(vertices, "3f 16x", "in_position")]
        geometry = [(vertices, "3f 3f 4x", "in_position", "in_normal")]
        layouts = (geometry, plain, plain, *([full] * (len(programs) - 3)))
        arrays = [
            gl.vertex_array(program, layout, indices, skip_errors=True)
            for program, layout in zip(programs, layouts, strict=True)
        ]
        self.geometry, self.depth, self.mask = arrays[:3]
        self.shades = arrays[3:]
        self._parts = (*arrays, vertices, indices)

    def release(self) -> None:
        """Free what was uploaded."""
        for part in self._parts:
            part.release()


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
    texture = gl.texture((width, height), 3, pixels.astype("f4").tobytes(), dtype="f4")
    texture.build_mipmaps(0, 5)
    texture.filter = (gl.LINEAR_MIPMAP_LINEAR, gl.LINEAR)
    texture.repeat_y = False
    return texture


def bind(program: Any, textures: Mapping[str, Any]) -> None:
    """Connect textures to a program's samplers."""
    for unit, (name, texture) in enumerate(textures.items()):
        if name in program:
            texture.use(unit)
            program[name].value = unit


def set_uniforms(program: Any, **values: object) -> None:
    """Set uniforms; a compiler may have dropped some. Matrices are written column by column."""
    for name, value in values.items():
        if name not in program:
            continue
        if isinstance(value, np.ndarray):
            matrix = "_from_" in name or name == "normal_matrix"
            columns = np.swapaxes(value, -1, -2) if matrix else value
            program[name].write(np.ascontiguousarray(columns, "f4").tobytes())
        else:
            program[name].value = value
