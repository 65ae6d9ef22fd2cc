"""Mitsuba's side of the surfaces: one mesh and one material for all opaque ones, and so on.

Dr.Jit compiles a kernel for each combination of plug-ins. Looks are therefore tables that a few
textures read by triangle, never one material per object: every scene runs the same few kernels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from p2o_train.rendering.materials import Material
from p2o_train.rendering.pathtrace_geometry import DISPLAY_POWER, JoinedMesh
from p2o_train.rendering.pathtrace_setup import load_drjit, load_mitsuba
from p2o_train.rendering.textures import TEXTURE_SIZE_PX
from points2objects.camera import Camera
from points2objects.geometry import ByteArray, FloatArray

SMOOTHEST = 0.03**0.5
"""Least roughness, as in `shaders.py`."""
TEXTURE_GAIN = 1.4
DARKEST, BRIGHTEST = 0.01, 0.92
PHOTO = -1
GLASS_LAYERS = 3
GLASS_BRIGHTNESS = 0.5


@dataclass(frozen=True)
class TextureStack:
    """The textures that one scene uses, one below the other.

    Attributes:
        pixels: (258 l, 256, 3), linear; a row of the far edge borders each on both sides.
        places: Place in `pixels` by the library's layer; -1 is the scene's photo.
    """

    pixels: FloatArray
    places: dict[int, int]

    def place(self, material: Material) -> int:
        """Return where a material's texture is, -1 if it has none."""
        if material.photo:
            return self.places[PHOTO]
        return self.places[material.layer] if material.layer >= 0 else -1


def stack_textures(
    materials: Sequence[Material], layers: ByteArray, photo: ByteArray | None
) -> TextureStack:
    """Gather what the materials of a scene need; at least one texture, which may go unused."""
    wanted = sorted({m.layer for m in materials if m.layer >= 0 and not m.photo})
    pictures = [layers[layer] for layer in wanted]
    if photo is not None:
        pictures.append(_square(photo))
        wanted.append(PHOTO)
    if not pictures:
        pictures = [np.zeros((TEXTURE_SIZE_PX, TEXTURE_SIZE_PX, 3), np.uint8)]
    linear = (np.stack(pictures).astype(np.float32) / 255) ** np.float32(DISPLAY_POWER)
    bordered = np.concatenate([linear[:, -1:], linear, linear[:, :1]], axis=1)
    return TextureStack(
        bordered.reshape(-1, TEXTURE_SIZE_PX, 3), {n: i for i, n in enumerate(wanted)}
    )


def _square(photo: ByteArray) -> ByteArray:
    from PIL import Image

    side = (TEXTURE_SIZE_PX, TEXTURE_SIZE_PX)
    return np.asarray(Image.fromarray(photo).resize(side, Image.Resampling.BILINEAR))


def opaque_mesh(joined: JoinedMesh, materials: Sequence[Material], textures: TextureStack) -> Any:
    """Make a mesh of coats of paint, metals and patterned surfaces."""
    return _mesh(
        joined, {"bsdf": _load({"type": "twosided", "front": _paint(joined, materials, textures)})}
    )


def glass_mesh(joined: JoinedMesh, materials: Sequence[Material], textures: TextureStack) -> Any:
    """Make a mesh of thin glass: clear face on, more of its own colour at a glance."""
    # A ray through a vessel meets two walls or four: what they keep together is the opacity.
    opacity = [1 - (1 - m.opacity) ** (1 / GLASS_LAYERS) for m in materials]
    cover = plugins().Cover(joined.slot, opacity)
    # What glass keeps it mostly swallows.
    dim = replace(joined, colors=GLASS_BRIGHTNESS * joined.colors)
    inner = {"type": "twosided", "front": _paint(dim, materials, textures)}
    return _mesh(joined, {"bsdf": _load({"type": "mask", "opacity": cover, "inner": inner})})


def catcher_mesh(joined: JoinedMesh, albedo: FloatArray, camera: Camera) -> Any:
    """Make a matt mesh that carries a picture, (h, w, 3), projected on it from the camera."""
    projected = plugins().Projected(albedo, camera)
    bsdf = {"type": "twosided", "front": {"type": "diffuse", "reflectance": projected}}
    return _mesh(joined, {"bsdf": _load(bsdf)})


def glowing_mesh(joined: JoinedMesh) -> Any:
    """Make a mesh that gives off its own colour as light."""
    radiance = {"type": "mesh_attribute", "name": "face_glow"}
    mesh = _mesh(joined, {"emitter": _load({"type": "area", "radiance": radiance})})
    mesh.add_attribute("face_glow", 3, joined.colors.clip(DARKEST, BRIGHTEST).astype("f4").ravel())
    return mesh


def _paint(
    joined: JoinedMesh, materials: Sequence[Material], textures: TextureStack
) -> dict[str, Any]:
    types = plugins()
    roughness = [max(m.roughness, SMOOTHEST) for m in materials]
    return {
        "type": "principled",
        "base_color": types.SurfaceColor(_face_looks(joined, materials, textures), textures.pixels),
        "roughness": types.SlotValue(joined.slot, roughness),
        "metallic": types.SlotValue(joined.slot, [m.metallic for m in materials]),
        "specular": 0.5,
    }


def _face_looks(
    joined: JoinedMesh, materials: Sequence[Material], textures: TextureStack
) -> FloatArray:
    """Return colour, texture place, second colour and recolouring of each triangle, (f, 8)."""
    second = [m.palette[0] if m.second is None else m.second for m in materials]
    place = [textures.place(m) for m in materials]
    recolor = [0.0 if m.photo else m.recolor for m in materials]
    pasted = np.array([m.photo for m in materials])[joined.slot]
    # The photo is shown as it is.
    colors = np.where(pasted[:, None], 1 / TEXTURE_GAIN, joined.colors)
    return np.column_stack([
        colors, np.array(place)[joined.slot], np.array(second)[joined.slot],
        np.array(recolor)[joined.slot],
    ])  # fmt: skip


def _load(description: dict[str, Any]) -> Any:
    return load_mitsuba().load_dict(description)


def _mesh(joined: JoinedMesh, parts: dict[str, Any]) -> Any:
    mi = load_mitsuba()
    properties = mi.Properties()
    for name, part in parts.items():
        properties[name] = part
    count = len(joined.positions)
    mesh = mi.Mesh("mesh", count, count // 3, properties, True, True)
    values = mi.traverse(mesh)
    values["vertex_positions"] = joined.positions.astype(np.float32).ravel()
    values["vertex_normals"] = joined.normals.astype(np.float32).ravel()
    values["vertex_texcoords"] = joined.uv.astype(np.float32).ravel()
    values["faces"] = np.arange(count, dtype=np.uint32)
    values.update()
    return mesh


@cache
def plugins() -> Any:
    """Define the textures; their base class exists once Mitsuba has its variant."""
    mi, dr = load_mitsuba(), load_drjit()
    texture: Any = mi.Texture

    class Slotted(texture):  # type: ignore[misc]
        """A texture that knows each triangle's slot."""

        def __init__(self, slot: Any) -> None:
            super().__init__(mi.Properties())
            self.slot = mi.UInt32(slot.astype(np.uint32))
            dr.make_opaque(self.slot)

        def row(self, si: Any, active: Any) -> Any:
            return dr.gather(mi.UInt32, self.slot, si.prim_index, active)

        def is_spatially_varying(self) -> bool:
            return True

        def mean(self) -> Any:
            return mi.Float(0.5)

        def to_string(self) -> str:
            return type(self).__name__

    class SlotValue(Slotted):
        """One number per slot."""

        def __init__(self, slot: Any, values: Sequence[float]) -> None:
            super().__init__(slot)
            self.values = mi.Float(np.asarray(values, np.float32))
            dr.make_opaque(self.values)

        def eval_1(self, si: Any, active: Any = True) -> Any:
            return dr.gather(mi.Float, self.values, self.row(si, active), active)

        def eval(self, si: Any, active: Any = True) -> Any:
            return mi.Color3f(self.eval_1(si, active))

    class Cover(SlotValue):
        """Share of light that glass keeps from passing: more at a glance, as in `shaders.py`."""

        def eval_1(self, si: Any, active: Any = True) -> Any:
            opacity = super().eval_1(si, active)
            glance = (1 - dr.minimum(dr.abs(mi.Frame3f.cos_theta(si.wi)), 1)) ** 3
            return dr.lerp(opacity, 1, glance)

    class SurfaceColor(texture):  # type: ignore[misc]
        """Base colour: own or painted, patterned or recoloured, as `base_color` in `shaders.py`."""

        def __init__(self, looks: FloatArray, pixels: FloatArray) -> None:
            super().__init__(mi.Properties())
            self.looks = mi.Float(looks.astype(np.float32).ravel())
            self.rows = mi.Float(len(pixels))
            self.pixels = mi.Texture2f(mi.TensorXf(pixels), wrap_mode=dr.WrapMode.Repeat)
            dr.make_opaque(self.looks, self.rows)

        def eval(self, si: Any, active: Any = True) -> Any:
            front = dr.gather(mi.Vector4f, self.looks, 2 * si.prim_index, active)
            back = dr.gather(mi.Vector4f, self.looks, 2 * si.prim_index + 1, active)
            base, second = mi.Color3f(front.xyz), mi.Color3f(back.xyz)
            place, recolor = front.w, back.w
            textured = active & (place >= 0)
            down = si.uv.y - dr.floor(si.uv.y)
            row = place * (TEXTURE_SIZE_PX + 2) + 1 + down * TEXTURE_SIZE_PX
            texel = mi.Color3f(self.pixels.eval(mi.Point2f(si.uv.x, row / self.rows), textured))
            pattern = dr.sqrt(dr.maximum(dr.mean(texel), 0))
            recolored = dr.lerp(base, second, pattern)
            patterned = dr.lerp(base * texel * TEXTURE_GAIN, recolored, recolor)
            return dr.clip(dr.select(textured, patterned, base), DARKEST, BRIGHTEST)

        def is_spatially_varying(self) -> bool:
            return True

        def mean(self) -> Any:
            return mi.Float(0.5)

        def to_string(self) -> str:
            return "SurfaceColor"

    class Projected(texture):  # type: ignore[misc]
        """A picture thrown on the scene from the camera."""

        def __init__(self, picture: FloatArray, camera: Camera) -> None:
            super().__init__(mi.Properties())
            height, width, _ = picture.shape
            project = np.diag([1 / width, 1 / height, 1]) @ camera.K
            project = project @ np.linalg.inv(camera.pose)[:3]
            self.rows = [[mi.Float(value) for value in row] for row in project]
            self.picture = mi.Texture2f(mi.TensorXf(picture), wrap_mode=dr.WrapMode.Clamp)
            dr.make_opaque(self.rows)

        def eval(self, si: Any, active: Any = True) -> Any:
            x, y, z = (a * si.p.x + b * si.p.y + c * si.p.z + d for a, b, c, d in self.rows)
            # Behind the camera the picture goes on as it does at its border.
            z = dr.maximum(z, 1e-3)
            return mi.Color3f(*self.picture.eval(mi.Point2f(x / z, y / z), active))

        def is_spatially_varying(self) -> bool:
            return True

        def mean(self) -> Any:
            return mi.Float(0.5)

        def to_string(self) -> str:
            return "Projected"

    return _Plugins(SlotValue, Cover, SurfaceColor, Projected)


@dataclass(frozen=True)
class _Plugins:
    SlotValue: Any
    Cover: Any
    SurfaceColor: Any
    Projected: Any
