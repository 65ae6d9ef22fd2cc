"""Labelled pictures by number: the same seed and number give the same sample on any machine."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from p2o_shapedb.database import ShapeDB
from p2o_train.data.pixel_maps import PixelMaps
from p2o_train.data.sample import LEAST_VISIBLE, Sample
from p2o_train.rendering.catalog import Catalog
from p2o_train.rendering.compose import Stock, compose
from p2o_train.rendering.drafts import Draft
from p2o_train.rendering.environment import load_environments
from p2o_train.rendering.pathtrace import PathTracer, PathTracerConfig
from p2o_train.rendering.protocols import SceneOptions, draw_scene
from p2o_train.rendering.renderer import Picture, Renderer, RendererConfig
from p2o_train.rendering.scene import RenderScene
from p2o_train.rendering.textures import load_textures
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF, IntArray

LEAST_PIXELS = 40
"""Objects that cover fewer pixels of a picture of 256 x 256 carry no label: a mug across the
room."""

_SPLIT_SEEDS = {"train": 0, "val": 1}
_ATTEMPTS = 50


@dataclass(frozen=True)
class Quality:
    """How finely pictures are rendered.

    Attributes:
        renderer: Sizes of the rasteriser's buffers.
        max_triangles: Of a model.
        samples: Paths per pixel of the path tracer; 0: the rasteriser draws the picture.
    """

    renderer: RendererConfig
    max_triangles: int
    samples: int = 0


QUALITIES = {
    "fast": Quality(RendererConfig(lights=4, light_map_px=128, sun_map_px=512, samples=2), 600),
    "default": Quality(RendererConfig(lights=12), 1500),
    "path-traced": Quality(RendererConfig(lights=12), 6000, samples=16),
}


@dataclass(frozen=True)
class Drawn:
    """A sample and the maps of its pixels."""

    sample: Sample
    maps: PixelMaps


_MIXED = SceneOptions()


class SampleGenerator:
    """Draws and renders the samples of one split."""

    def __init__(
        self, shapedb: ShapeDB, split: str, seed: int, quality: str, assets: Path | None,
        scenes: SceneOptions = _MIXED,
    ) -> None:  # fmt: skip
        if quality not in QUALITIES:
            raise InputError(f"--quality must be one of {sorted(QUALITIES)}, got {quality!r}")
        chosen = QUALITIES[quality]
        self._db = shapedb
        self._scenes = scenes
        self._key = (seed, _SPLIT_SEEDS[split])
        textures = load_textures(assets)
        self._size_px = chosen.renderer.size_px
        self._renderer = (
            PathTracer(PathTracerConfig(chosen.renderer, chosen.samples), textures.layers)
            if chosen.samples
            else Renderer(chosen.renderer, textures.layers)
        )
        self._stock = Stock(
            Catalog(shapedb, split, assets, chosen.max_triangles),
            textures,
            load_environments(assets / "hdri" if assets else None),
        )

    def sample(self, number: int) -> Sample:
        """Draw, render and label one sample; scenes without a visible object are drawn again."""
        return self.draw(number).sample

    def draw(self, number: int) -> Drawn:
        """Return one sample and the maps of its pixels."""
        for attempt in range(_ATTEMPTS):
            rng = np.random.default_rng([*self._key, number, attempt])
            draft = draw_scene(rng, self._stock.catalog, self._scenes)
            scene = compose(rng, draft, self._stock, self._size_px)
            picture = self._renderer.render(scene)
            keep = labelled_objects(scene, picture)
            if len(keep):
                return Drawn(
                    labelled_sample(scene, picture, draft, self._db, keep), _maps(picture, keep)
                )
        raise InputError(
            f"sample {number}: no object was visible in {_ATTEMPTS} scenes; "
            "check the sizes of the models in the shape database"
        )

    @property
    def driver(self) -> str:
        """What OpenGL runs on: a GPU's name, or a software rasteriser's."""
        return self._renderer.driver

    def close(self) -> None:
        """Free the renderer."""
        self._renderer.release()


def labelled_objects(scene: RenderScene, picture: Picture) -> IntArray:
    """Return the objects, (n,), that can be seen and whose centre is in the picture."""
    places = np.stack([drawable.box.translation for drawable in scene.objects])
    centers = scene.camera.project(places)
    inside = (centers[:, :2] > 0) & (centers[:, :2] < [scene.camera.width, scene.camera.height])
    keep = inside.all(1) & (centers[:, 2] > 0) & (picture.visible_fraction >= LEAST_VISIBLE)
    shown = np.bincount(picture.owner[picture.owner >= 0], minlength=len(places))
    keep &= shown >= LEAST_PIXELS * picture.owner.size / 256**2
    return np.flatnonzero(keep)


def labelled_sample(
    scene: RenderScene, picture: Picture, draft: Draft, shapedb: ShapeDB, keep: IntArray
) -> Sample:
    """Label a picture of a scene with the objects `keep`, (n,)."""
    boxes = [scene.objects[int(i)].box for i in keep]
    models = np.array(draft.model_index, dtype=np.int64)[keep]
    return Sample(
        image=picture.image,
        camera=scene.camera,
        boxes=Box9DoF(
            np.array([b.rotation for b in boxes]).reshape(-1, 3, 3),
            np.array([b.translation for b in boxes]).reshape(-1, 3),
            np.array([b.scale for b in boxes]).reshape(-1, 3),
        ),
        class_id=np.array([shapedb.class_id(int(m)) for m in models], dtype=np.int64),
        model_index=models,
        visible_fraction=picture.visible_fraction[keep],
        mirrored=np.zeros(len(models), dtype=bool),
        unlabelled=draft.things,
    )


def _maps(picture: Picture, keep: IntArray) -> PixelMaps:
    """Number the pixels' owners as the labels are; objects without a label are nobody."""
    label = np.full(len(picture.visible_fraction) + 1, -1)
    label[keep] = np.arange(len(keep))
    return PixelMaps(np.asarray(label[picture.owner]), picture.depth)
