"""Parametric CAD of the default classes: seeded, closed, in metres, facing -z with +y up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from p2o_shapedb.fixed_order import rounded
from p2o_shapedb.procedural import bottle, bowl, chair, mug, sofa, table
from p2o_shapedb.procedural.parts import Part
from points2objects.errors import InputError
from points2objects.geometry import ByteArray, FloatArray, IntArray

FAMILIES: Mapping[str, Mapping[str, Callable[[np.random.Generator], list[Part]]]] = {
    "bottle": bottle.FAMILIES,
    "bowl": bowl.FAMILIES,
    "chair": chair.FAMILIES,
    "mug": mug.FAMILIES,
    "sofa": sofa.FAMILIES,
    "table": table.FAMILIES,
}
"""Class name -> family name -> maker of a model's parts."""


@dataclass(frozen=True)
class ProceduralModel:
    """One generated model.

    Attributes:
        name: "procedural-ladder-0007".
        vertices: (v, 3), metres.
        faces: (f, 3).
        colors: (v, 3) uint8 RGB.
    """

    name: str
    vertices: FloatArray
    faces: IntArray
    colors: ByteArray


def model_name(class_name: str, index: int) -> str:
    """Name the model number `index` of a class after its family; families take turns.

    Raises:
        InputError: No generator for the class.
    """
    if class_name not in FAMILIES:
        raise InputError(
            f"no procedural models for class {class_name!r}, only for {', '.join(FAMILIES)}; "
            "use --procedural 0 and give CAD files with --cad"
        )
    families = list(FAMILIES[class_name])
    return f"procedural-{families[index % len(families)]}-{index:04d}"


def generate(class_name: str, index: int, seed: int) -> ProceduralModel:
    """Make the model number `index` of a class.

    Raises:
        InputError: No generator for the class.
    """
    name = model_name(class_name, index)
    family = name.split("-")[1]
    rng = np.random.default_rng([seed, list(FAMILIES).index(class_name), index])
    parts = FAMILIES[class_name][family](rng)
    offsets = np.cumsum([0, *(len(part.vertices) for part in parts[:-1])])
    return ProceduralModel(
        name=name,
        vertices=rounded(np.concatenate([part.vertices for part in parts])),
        faces=np.concatenate([p.faces + o for p, o in zip(parts, offsets, strict=True)]),
        colors=np.concatenate(
            [np.tile(np.array([p.color], np.uint8), (len(p.vertices), 1)) for p in parts]
        ),
    )
