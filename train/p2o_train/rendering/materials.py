"""How surfaces look: colours, patterns, gloss; drawn far more widely than real rooms vary."""

import colorsys
from dataclasses import dataclass

import numpy as np

from p2o_train.rendering.meshes import PALETTE_SIZE
from p2o_train.rendering.textures import TextureLibrary
from points2objects.geometry import FloatArray

_FAMILIES = {
    # hue range, saturation range, value range (sRGB)
    "wood": ((0.04, 0.11), (0.25, 0.75), (0.15, 0.8)),
    "white": ((0.0, 1.0), (0.0, 0.08), (0.75, 0.98)),
    "grey": ((0.0, 1.0), (0.0, 0.12), (0.2, 0.75)),
    "black": ((0.0, 1.0), (0.0, 0.25), (0.03, 0.2)),
    "beige": ((0.06, 0.15), (0.1, 0.4), (0.5, 0.9)),
    "muted": ((0.0, 1.0), (0.15, 0.5), (0.2, 0.8)),
    "vivid": ((0.0, 1.0), (0.5, 1.0), (0.3, 0.95)),
}


@dataclass(frozen=True)
class Material:
    """The look of one surface; colours are linear RGB.

    Attributes:
        palette: (4, 3), colour of each part.
        tint: (3,), factor on the model's own colours.
        own_color: 1 to take the model's own colours, 0 for the palette.
        second: (3,), colour of the dark parts of a pattern.
        layer: Texture layer, -1 for none.
        repeats: How often the texture repeats per unit of length.
        recolor: 1 paints the texture between the two colours, 0 keeps its own.
        roughness: 0..1.
        metallic: 0..1.
        opacity: Below 1: glass.
        glow: 1 ignores the light (windows, screens).
        photo: Whether the scene's photo is pasted over the surface.
    """

    palette: FloatArray
    tint: FloatArray
    own_color: float = 0.0
    second: FloatArray | None = None
    layer: int = -1
    repeats: float = 1.0
    recolor: float = 0.0
    roughness: float = 0.6
    metallic: float = 0.0
    opacity: float = 1.0
    glow: float = 0.0
    photo: bool = False


def draw_color(rng: np.random.Generator, family: str | None = None) -> FloatArray:
    """Draw a linear RGB colour, (3,), of a family or of any."""
    name = family or str(rng.choice(list(_FAMILIES), p=[0.2, 0.2, 0.14, 0.12, 0.12, 0.12, 0.1]))
    hue, saturation, value = (rng.uniform(*span) for span in _FAMILIES[name])
    return np.asarray(colorsys.hsv_to_rgb(hue % 1.0, saturation, value)) ** 2.2


def draw_object_material(
    rng: np.random.Generator, library: TextureLibrary, size: float, has_color: bool, glass: float
) -> Material:
    """Draw the look of an object.

    Args:
        rng: Source of randomness.
        library: Textures to choose from.
        size: Longest side of the object, in the scene's unit.
        has_color: Whether the model brings its own colours.
        glass: Chance of a glass object.
    """
    if rng.random() < glass:
        color = draw_color(rng, str(rng.choice(["white", "muted", "vivid"])))
        return Material(
            _palette(rng, color), np.ones(3), roughness=rng.uniform(0.02, 0.2),
            opacity=rng.uniform(0.12, 0.6),
        )  # fmt: skip
    own = 1.0 if has_color and rng.random() < 0.65 else 0.0
    tint = np.exp(rng.normal(0, 0.12, 3)) * np.exp(rng.normal(0, 0.25)) if own else np.ones(3)
    metallic = rng.uniform(0.6, 1.0) if rng.random() < 0.06 else 0.0
    gloss = rng.random() < 0.35
    roughness = rng.uniform(0.08, 0.4) if gloss or metallic else rng.uniform(0.4, 1.0)
    color = draw_color(rng)
    material = Material(
        _palette(rng, color), tint, own, roughness=float(roughness), metallic=float(metallic)
    )
    return _patterned(rng, library, material, 0.25 if own else 0.45, size)


def draw_surface_material(
    rng: np.random.Generator, library: TextureLibrary, period: float, plain: float
) -> Material:
    """Draw the look of a floor, table top or wall.

    Args:
        rng: Source of randomness.
        library: Textures to choose from.
        period: Usual length after which a texture repeats, in the scene's unit.
        plain: Chance of one even colour.
    """
    family = str(rng.choice(["wood", "white", "grey", "beige", "muted", "black", "vivid"],
                            p=[0.3, 0.2, 0.18, 0.14, 0.1, 0.05, 0.03]))  # fmt: skip
    color = draw_color(rng, family)
    roughness = rng.uniform(0.15, 0.5) if rng.random() < 0.35 else rng.uniform(0.5, 1.0)
    material = Material(np.tile(color, (PALETTE_SIZE, 1)), np.ones(3), roughness=float(roughness))
    return _patterned(rng, library, material, 1 - plain, 2 * period)


def _palette(rng: np.random.Generator, color: FloatArray) -> FloatArray:
    """Two or three colours over the parts, or one for all of them."""
    if rng.random() < 0.4:
        return np.tile(color, (PALETTE_SIZE, 1))
    others = np.stack([color, draw_color(rng), draw_color(rng), color])
    return others if rng.random() < 0.5 else others[[0, 1, 1, 0]]


def _patterned(
    rng: np.random.Generator, library: TextureLibrary, plain: Material, chance: float, size: float
) -> Material:
    if rng.random() >= chance:
        return plain
    pictures = len(library.layers) - library.patterns
    picture = pictures > 0 and rng.random() < 0.55
    layer = (
        rng.integers(library.patterns, len(library.layers))
        if picture
        else (rng.integers(library.patterns))
    )
    palette, recolor = plain.palette, 1.0
    if picture:
        recolor = float(rng.choice([0.0, 0.0, rng.uniform(0.2, 0.8)]))
        wash = np.exp(rng.normal(0, 0.25, 3)) * np.exp(rng.normal(-0.1, 0.3))
        palette = np.tile(np.minimum(wash, 1.6), (PALETTE_SIZE, 1)) if recolor == 0 else palette
    contrast = rng.uniform(0.05, 0.7)
    second = (1 - contrast) * plain.palette[0] + contrast * draw_color(rng)
    return Material(
        palette, plain.tint, plain.own_color, second, int(layer),
        float(np.exp(rng.uniform(-0.7, 1.0)) / size), recolor, plain.roughness, plain.metallic,
    )  # fmt: skip
