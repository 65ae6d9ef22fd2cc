"""Labelled pictures by number: the same seed and number give the same sample on any machine."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from p2o_shapedb.database import ShapeDB
from p2o_train.data.sample import Sample
from p2o_train.rendering.catalog import Catalog
from p2o_train.rendering.compose import Draft, Stock, compose
from p2o_train.rendering.environment import load_environments
from p2o_train.rendering.pathtrace import PathTracer, PathTracerConfig
from p2o_train.rendering.protocols import Protocol, draw_scene
from p2o_train.rendering.renderer import Picture, Renderer, RendererConfig
from p2o_train.rendering.scene import RenderScene
from p2o_train.rendering.textures import load_textures
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF

LEAST_VISIBLE = 0.15
"""Objects of which less is visible carry no label."""

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
    "fast": Quality(RendererConfig(lights=6, light_map_px=128, sun_map_px=512, samples=2), 800),
    "default": Quality(RendererConfig(lights=12), 1500),
    "path-traced": Quality(RendererConfig(lights=12), 6000, samples=16),
}


class SampleGenerator:
    """Draws and renders the samples of one split."""

    def __init__(
        self, shapedb: ShapeDB, split: str, seed: int, quality: str, assets: Path | None,
        protocol: Protocol = "mixed",
    ) -> None:  # fmt: skip
        if quality not in QUALITIES:
            raise InputError(f"--quality must be one of {sorted(QUALITIES)}, got {quality!r}")
        chosen = QUALITIES[quality]
        self._db = shapedb
        self._protocol: Protocol = protocol
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
        for attempt in range(_ATTEMPTS):
            rng = np.random.default_rng([*self._key, number, attempt])
            draft = draw_scene(rng, self._stock.catalog, self._protocol)
            scene = compose(rng, draft, self._stock, self._size_px)
            sample = labelled(scene, self._renderer.render(scene), draft, self._db)
            if len(sample):
                return sample
        raise InputError(
            f"sample {number}: no object was visible in {_ATTEMPTS} scenes; "
            "check the sizes of the models in the shape database"
        )

    def close(self) -> None:
        """Free the renderer."""
        self._renderer.release()


def labelled(scene: RenderScene, picture: Picture, draft: Draft, shapedb: ShapeDB) -> Sample:
    """Label a picture with those of its objects that can be seen and whose centre is in it."""
    boxes = [drawable.box for drawable in scene.objects]
    box = Box9DoF(
        np.stack([b.rotation for b in boxes]),
        np.stack([b.translation for b in boxes]),
        np.stack([b.scale for b in boxes]),
    )
    centers = scene.camera.project(box.translation)
    inside = (centers[:, :2] > 0) & (centers[:, :2] < [scene.camera.width, scene.camera.height])
    keep = inside.all(1) & (centers[:, 2] > 0) & (picture.visible_fraction >= LEAST_VISIBLE)
    models = np.array(draft.model_index, dtype=np.int64)[keep]
    return Sample(
        image=picture.image,
        camera=scene.camera,
        boxes=box[keep],
        class_id=np.array([shapedb.class_id(int(m)) for m in models], dtype=np.int64),
        model_index=models,
        visible_fraction=picture.visible_fraction[keep],
        mirrored=np.zeros(len(models), dtype=bool),
    )
