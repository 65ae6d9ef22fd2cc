"""The path tracer: the rasteriser's scenes in physically right light, for evaluation sets.

Labels stay the rasteriser's: a path-traced set differs from a rasterised one in its images only.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from p2o_train.rendering.materials import Material
from p2o_train.rendering.pathtrace_display import (
    backdrop,
    display,
    matching_gain,
    photo_on_screen,
    pixel_rays,
    undisplay,
)
from p2o_train.rendering.pathtrace_geometry import JoinedMesh, join, out_of_sight
from p2o_train.rendering.pathtrace_light import baked_light, irradiance_above
from p2o_train.rendering.pathtrace_materials import (
    TextureStack,
    catcher_mesh,
    glass_mesh,
    glowing_mesh,
    opaque_mesh,
    stack_textures,
)
from p2o_train.rendering.pathtrace_setup import denoise, load_mitsuba
from p2o_train.rendering.renderer import Picture, Renderer, RendererConfig
from p2o_train.rendering.scene import Drawable, RenderScene
from points2objects.geometry import ByteArray, FloatArray, IntArray

COVERAGE_GRID = 3
BRIGHTEST_CATCHER = 0.9
KINDS = ("opaque", "glass", "glow", "catcher")

_RASTERISER = RendererConfig(lights=12)


@dataclass(frozen=True)
class PathTracerConfig:
    """How finely pictures are traced.

    Attributes:
        rasteriser: Draws the labels and tells how bright the picture is; its size is the size.
        samples: Paths per pixel; a power of two, so that pictures repeat to the last bit.
        max_depth: Surfaces that a path may meet.
    """

    rasteriser: RendererConfig = _RASTERISER
    samples: int = 16
    max_depth: int = 5


class PathTracer:
    """Draws the scenes that `renderer.Renderer` draws, and labels them as it does."""

    def __init__(self, config: PathTracerConfig, layers: ByteArray) -> None:
        load_mitsuba()
        self._config = config
        self._layers = layers
        self._rasteriser = Renderer(config.rasteriser, layers)

    @property
    def driver(self) -> str:
        """What the rasteriser that labels runs on."""
        return self._rasteriser.driver

    def render(self, scene: RenderScene) -> Picture:
        """Draw a scene."""
        picture = self._rasteriser.render(scene)
        stage = _Stage(scene, self._layers, self._config)
        traced = stage.render()
        shown = stage.caught(traced) if stage.catches else _exposed(traced, picture.image, scene)
        return replace(picture, image=np.asarray(shown.clip(0, 1) * 255 + 0.5, dtype=np.uint8))

    def numbers(self, scene: RenderScene) -> IntArray:
        """Return which drawable a ray through each pixel's centre meets, (s, s), -1 for none."""
        return _Stage(scene, self._layers, self._config).numbers(1)

    def release(self) -> None:
        """Free the rasteriser; the path tracer is unusable afterwards."""
        self._rasteriser.release()


@dataclass(frozen=True)
class _Layers:
    """What the integrator returns, denoised.

    Attributes:
        radiance: (s, s, 3), linear; black where nothing is met.
        alpha: (s, s, 1), share of the pixel that shows a surface.
    """

    radiance: FloatArray
    alpha: FloatArray


class _Stage:
    """A scene as Mitsuba holds it."""

    def __init__(self, scene: RenderScene, layers: ByteArray, config: PathTracerConfig) -> None:
        self._scene = scene
        self._config = config
        self._light = baked_light(scene.lighting)
        things, camera = scene.drawables, scene.camera
        stack = stack_textures([d.material for d in things], layers, scene.photo)
        groups: dict[str, list[int]] = {kind: [] for kind in KINDS}
        for number, drawable in enumerate(things):
            # Light comes in through walls that nobody sees, as it does through windows.
            if not (is_wall(drawable) and out_of_sight(drawable, camera)):
                groups[_kind(drawable)].append(number)
        self._catchers, self._glassy = groups["catcher"], bool(groups["glass"])
        kinds = [kind for kind in KINDS if groups[kind]]
        self._joined = [join(things, groups[kind]) for kind in kinds]
        self._meshes = [
            self._mesh(kind, joined, [things[n].material for n in joined.numbers], stack)
            for kind, joined in zip(kinds, self._joined, strict=True)
        ]
        self._stage = self._load()

    @property
    def catches(self) -> bool:
        """Whether the scene stands on a photo."""
        return bool(self._catchers)

    def _mesh(
        self, kind: str, joined: JoinedMesh, materials: list[Material], stack: TextureStack
    ) -> Any:
        if kind == "catcher":
            return catcher_mesh(joined, self._catcher_albedo(), self._scene.camera)
        if kind == "glow":
            return glowing_mesh(joined)
        return (glass_mesh if kind == "glass" else opaque_mesh)(joined, materials, stack)

    def _load(self) -> Any:
        mi, config, camera = load_mitsuba(), self._config, self._scene.camera
        fov = 2 * np.degrees(np.arctan(camera.width / 2 / camera.K[0, 0]))
        # Mitsuba's camera looks along +z with +x to the left and +y up.
        pose = camera.pose @ np.diag([-1.0, -1.0, 1.0, 1.0])
        film = {
            "type": "hdrfilm", "width": camera.width, "height": camera.height,
            "rfilter": {"type": "box"}, "pixel_format": "rgba", "component_format": "float32",
        }  # fmt: skip
        paths = {
            "type": "volpath" if self._glassy else "path",
            "max_depth": config.max_depth, "hide_emitters": True,
        }  # fmt: skip
        return mi.load_dict({
            "type": "scene",
            "integrator": {"type": "aov", "aovs": "albedo:albedo,normal:sh_normal", "paths": paths},
            "sensor": {
                "type": "perspective", "fov": float(fov), "near_clip": 0.01, "far_clip": 1000.0,
                "to_world": mi.ScalarTransform4f(pose), "film": film,
                "sampler": {"type": "multijitter", "sample_count": config.samples},
            },
            "light": {"type": "envmap", "bitmap": mi.Bitmap(self._light), "mis_compensation": True},
            **{f"mesh{i}": mesh for i, mesh in enumerate(self._meshes)},
        })  # fmt: skip

    def render(self) -> _Layers:
        mi, seed = load_mitsuba(), self._scene.seed
        pixels = np.array(mi.render(self._stage, spp=self._config.samples, seed=seed))
        clean = denoise(pixels[..., :3], pixels[..., 4:7], pixels[..., 7:10])
        return _Layers(clean, pixels[..., 3:4].clip(0, 1))

    def numbers(self, grid: int) -> IntArray:
        """Return which drawable is met at grid x grid points of each pixel, -1 for none."""
        mi, camera = load_mitsuba(), self._scene.camera
        directions = pixel_rays(camera, grid).reshape(-1, 3).astype(np.float32)
        eye = mi.Point3f(*map(float, camera.pose[:3, 3]))
        found = self._stage.ray_intersect_preliminary(
            mi.Ray3f(eye, mi.Vector3f(directions.T)), coherent=True
        )
        triangle, hit = found.prim_index.numpy(), found.is_valid().numpy()
        numbers = np.full(len(directions), -1)
        for mesh, joined in zip(self._meshes, self._joined, strict=True):
            here = hit & (found.shape == mi.ShapePtr(mesh)).numpy()
            numbers[here] = joined.numbers[joined.slot[triangle[here]]]
        return numbers.reshape(camera.height * grid, camera.width * grid)

    def _catcher_albedo(self) -> FloatArray:
        """Return the albedo that shows the photo under open sky, held to what surfaces have."""
        wanted = self._photo_radiance() * np.pi / irradiance_above(self._light)
        return np.asarray(wanted.clip(0.02, BRIGHTEST_CATCHER), np.float32)

    def _photo_radiance(self) -> FloatArray:
        return undisplay(photo_on_screen(self._scene), self._scene.exposure, self._scene.gamma)

    def caught(self, layers: _Layers) -> FloatArray:
        """Return the picture with the photo, shaded by what stands on it, where the catcher is.

        Photos are brighter than surfaces can be, so only the ratio of the traced to the open
        ground's light is kept of what the catcher shows.
        """
        scene, grid = self._scene, COVERAGE_GRID
        size = (scene.camera.height, grid, scene.camera.width, grid)
        numbers = self.numbers(grid).reshape(size)
        on_catcher = np.isin(numbers, self._catchers)
        ground = on_catcher.mean((1, 3))[..., None]
        occupied = np.asarray((~on_catcher & (numbers >= 0)).any((1, 3)))[..., None]
        things = np.where(occupied, np.clip(layers.alpha - ground, 0, 1 - ground), 0)
        open_ground = self._catcher_albedo() / np.pi * irradiance_above(self._light)
        whole = np.asarray((ground[..., 0] == 1) & (layers.alpha[..., 0] > 0.999))
        ratio = _spread(layers.radiance / open_ground, whole)
        shaded = display(self._photo_radiance() * ratio, scene.exposure, scene.gamma)
        rest = (layers.radiance - ground * open_ground * ratio) / np.maximum(things, 0.05)
        shown = display(rest, scene.exposure, scene.gamma)
        behind = 1 - ground - things
        return np.asarray(shaded * ground + shown * things + backdrop(scene) * behind)


def _exposed(layers: _Layers, reference: ByteArray, scene: RenderScene) -> FloatArray:
    """Return the picture, its surfaces as bright on average as those of the rasteriser's.

    Walls keep light from a scene here, not there: a camera would expose for what is left of it.
    """
    radiance = layers.radiance / np.maximum(layers.alpha, 1e-3)
    solid = layers.alpha[..., 0] > 0.5
    gain = matching_gain(radiance[solid], reference[solid] / 255, scene)
    shown = display(radiance * gain, scene.exposure, scene.gamma)
    return np.asarray(shown * layers.alpha + backdrop(scene) * (1 - layers.alpha))


def is_wall(drawable: Drawable) -> bool:
    """Tell upright surroundings from floors, table tops and things."""
    flat = drawable.box.scale[1] == drawable.box.scale.min()
    return not (drawable.casts_shadow or drawable.labelled or flat)


def _kind(drawable: Drawable) -> str:
    if drawable.catcher:
        return "catcher"
    if drawable.material.glow > 0:
        return "glow"
    return "glass" if drawable.material.opacity < 1 else "opaque"


def _spread(values: FloatArray, known: npt.NDArray[np.bool_]) -> FloatArray:
    """Fill values, (h, w, 3), where they are not known with the nearest that are."""
    from scipy.ndimage import distance_transform_edt

    if not known.any():
        return np.ones_like(values)
    nearest: Any = distance_transform_edt(~known, return_distances=False, return_indices=True)
    return np.asarray(values[tuple(nearest)])
