"""Options of the two commands."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from p2o_shapedb.database import CLASSES
from points2objects.errors import InputError


@dataclass(frozen=True)
class BuildConfig:
    """Options of `build_db.py`."""

    out: Path = Path("shapedb")
    """Folder to write the database to."""
    cad: tuple[Path, ...] = ()
    """Folders with CAD files, <root>/<class>/*.{glb,gltf,obj,ply,off,stl}: metres, +y up, facing
    +z; an index.json beside the classes may tell source, licence and creator."""
    procedural: int = 60
    """Procedural models per class."""
    classes: tuple[str, ...] = CLASSES
    """Classes, in the order of their ids."""
    exemplars_per_class: int = 50
    """Exemplars per class, k (paper, sec. 3.2: 50)."""
    exemplars: Literal["ship", "any"] = "ship"
    """Which models may become exemplars: those whose licence allows shipping, or any."""
    val_share: float = 0.15
    """Share of the models held out for validation; clusters and exemplars never see them."""
    max_extent: float = 10.0
    """Refuse CAD with a side longer than this, metres: its unit is probably not the metre."""
    strict: bool = False
    """Stop at the first CAD file that cannot be used, instead of leaving it out."""
    workers: int = 2
    """Processes."""
    seed: int = 0
    """Seed of the procedural models, the split and the clusters."""
    overwrite: bool = False
    """Replace an existing database."""
    verbose: bool = False
    """Show tracebacks and debug messages."""

    def __post_init__(self) -> None:
        _at_least("--procedural", self.procedural, 0)
        _at_least("--exemplars-per-class", self.exemplars_per_class, 1)
        _at_least("--workers", self.workers, 1)
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise InputError(f"--classes must be distinct names, got {list(self.classes)}")
        if not 0 <= self.val_share < 1:
            raise InputError(f"--val-share must be in 0..1, got {self.val_share}")
        if not self.cad and not self.procedural:
            raise InputError("nothing to build from: give --cad or --procedural")


@dataclass(frozen=True)
class PackConfig:
    """Options of `export_pack.py`."""

    shapedb: Positional[Path]
    """Folder of the database."""
    out: Path = Path("exemplars.glb")
    """GLB to write."""
    triangles: int = 500
    """Most triangles per exemplar."""
    overwrite: bool = False
    """Replace an existing file."""
    verbose: bool = False
    """Show tracebacks and debug messages."""

    def __post_init__(self) -> None:
        _at_least("--triangles", self.triangles, 12)


def _at_least(flag: str, value: int, least: int) -> None:
    if value < least:
        raise InputError(f"{flag} must be at least {least}, got {value}")
