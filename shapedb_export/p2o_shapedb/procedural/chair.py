"""Procedural chairs: every structural family by name.

The seat's centre lies on the y axis, the back at +z, so that the chair faces -z.
"""

from collections.abc import Callable, Mapping

import numpy as np

from p2o_shapedb.procedural.chair_legged import ladder, panel, slat, spindle, stool
from p2o_shapedb.procedural.chair_shell import bucket, cantilever, pedestal, shell
from p2o_shapedb.procedural.chair_upholstered import club, parsons, swivel, tub
from p2o_shapedb.procedural.parts import Part

FAMILIES: Mapping[str, Callable[[np.random.Generator], list[Part]]] = {
    "ladder": ladder,
    "spindle": spindle,
    "panel": panel,
    "parsons": parsons,
    "shell": shell,
    "cantilever": cantilever,
    "swivel": swivel,
    "pedestal": pedestal,
    "stool": stool,
    "club": club,
    "tub": tub,
    "slat": slat,
    "bucket": bucket,
}
