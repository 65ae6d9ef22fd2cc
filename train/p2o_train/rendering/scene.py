"""One scene as the renderer takes it, in the level frame: what to draw, in which light."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from p2o_train.rendering.environment import Environment
from p2o_train.rendering.materials import Material
from p2o_train.rendering.meshes import RenderMesh
from points2objects.camera import Camera
from points2objects.geometry import Box9DoF, ByteArray, FloatArray


@dataclass(frozen=True)
class Drawable:
    """One mesh in its place.

    Attributes:
        key: Name of the mesh; equal keys are uploaded once.
        mesh: Its triangles, in the canonical cube.
        box: Where the cube goes, level frame.
        material: Its look.
        casts_shadow: Whether it blocks light.
        labelled: Whether it is one of the scene's objects.
        catcher: Draw the photo behind it instead, darkened by the shadows that fall on it.
    """

    key: str
    mesh: RenderMesh
    box: Box9DoF
    material: Material
    casts_shadow: bool = True
    labelled: bool = False
    catcher: bool = False


@dataclass(frozen=True)
class Lighting:
    """The light of a scene.

    Attributes:
        environment: Map for light, reflections and, without a photo, the backdrop.
        turn: Turn of the map about +y, radians.
        strength: (3,), factor on the map.
        sun_direction: (3,), unit, towards the sun (or a lamp).
        sun_irradiance: (3,), on a surface that faces it.
        sun_softness: Width of its shadow's edge, in shadow map sides.
        bounce: (3,), irradiance that the ground throws upwards.
    """

    environment: Environment
    turn: float
    strength: FloatArray
    sun_direction: FloatArray
    sun_irradiance: FloatArray
    sun_softness: float
    bounce: FloatArray


@dataclass(frozen=True)
class RenderScene:
    """Everything a picture depends on.

    Attributes:
        camera: Canonical camera in the level frame.
        drawables: What to draw; labelled ones in the order of the labels.
        lighting: Its light.
        exposure: (3,), factor before tone mapping: brightness and white balance.
        gamma: Exponent of the display curve.
        photo: (h, w, 3) sRGB for surfaces and backdrop, or None.
        photo_backdrop: Whether the photo, not the environment, is what lies behind.
        backdrop_blur: Mip level of the environment behind.
        seed: For light sampling.
    """

    camera: Camera
    drawables: tuple[Drawable, ...]
    lighting: Lighting
    exposure: FloatArray
    gamma: float
    photo: ByteArray | None
    photo_backdrop: bool
    backdrop_blur: float
    seed: int

    @property
    def objects(self) -> Sequence[Drawable]:
        """The labelled drawables."""
        return [drawable for drawable in self.drawables if drawable.labelled]


@dataclass(frozen=True)
class Reach:
    """Ball around everything that casts a shadow, level frame."""

    center: FloatArray
    radius: float


def shadow_reach(drawables: Sequence[Drawable]) -> Reach:
    """Enclose the shadow casters in a ball."""
    corners = np.concatenate([d.box.corners() for d in drawables if d.casts_shadow])
    center = (corners.min(0) + corners.max(0)) / 2
    return Reach(center, 1.02 * float(np.linalg.norm(corners - center, axis=1).max()))
