"""Options of the two commands."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from p2o_shapedb.cad.axes import Axes, Front, Up
from p2o_shapedb.database import CLASSES
from p2o_shapedb.packing.pack import PackOptions
from p2o_shapedb.packing.pack_glb import Compression
from p2o_shapedb.packing.surface_error import Tolerance
from p2o_shapedb.procedural import FAMILIES
from points2objects.errors import InputError


@dataclass(frozen=True)
class BuildConfig:
    """Options of `build_db.py`."""

    out: Path = Path("shapedb")
    """Folder to write the database to."""
    cad: tuple[Path, ...] = ()
    """Folders with CAD files, <root>/<class>/*.{glb,gltf,obj,ply,off,stl}: metres, +y up, facing
    +z unless said otherwise; an index.json beside the classes may tell source, licence and
    creator."""
    shapenet: tuple[Path, ...] = ()
    """Folders that hold ShapeNetCore.v2: <synset>/<id>/models/model_normalized.obj."""
    procedural: int | tuple[str, ...] = 60
    """Generated models per class that has a generator: a number for all of them, or numbers for
    some, as in chair=60 table=40, or both: 20 chair=60. Other classes have none."""
    up: Up = "y"
    """Axis that points up in the files of --cad."""
    front: Front = "auto"
    """Axis that the front faces in the files of --cad; auto: z, or -y where z is up. Write
    --front=-y with an equals sign."""
    unit_m: float = 1.0
    """Metres per unit in the files of --cad: 0.001 for millimetres."""
    overrides: tuple[Path, ...] = ()
    """TOML files with corrections for single sources and files; see docs/shape-database.md."""
    classes: tuple[str, ...] = CLASSES
    """Classes, in the order of their ids."""
    exemplars_per_class: int = 50
    """Exemplars per class, k (paper, sec. 3.2: 50)."""
    exemplars: Literal["ship", "any"] = "ship"
    """Which models may become exemplars: those whose licence allows shipping, or any."""
    exact_clusters: int = 3000
    """Cluster a class of up to this many models in memory, a larger one in mini-batches."""
    oracle_models: int = 30
    """Models per class whose overlap with their exemplar is measured; 0 for none."""
    val_share: float = 0.15
    """Share of the models held out for validation; clusters and exemplars never see them."""
    held_out: Path | None = None
    """Hold out what this file names instead: a model a line, as chair/NAME or SYNSET/ID."""
    max_extent: float = 10.0
    """Refuse CAD with a side longer than this, metres: its unit is probably not the metre."""
    strict: bool = False
    """Stop at the first CAD file that cannot be used, instead of leaving it out."""
    contact_sheet: bool = False
    """Draw a page per class into <out>/contact_sheet: exemplars, their clusters, the front."""
    cache: Path | None = None
    """Folder that keeps what was made of each model for later builds; <out>.cache by default."""
    workers: int = 2
    """Processes; 0 works in this one, without the limits below."""
    time_limit_s: float = 120.0
    """Leave a CAD file out that takes longer than this, seconds."""
    worker_memory_gb: float = 4.0
    """Leave a CAD file out that needs more memory than this, gigabytes (Linux only)."""
    seed: int = 0
    """Seed of the procedural models, the split and the clusters."""
    overwrite: bool = False
    """Replace an existing database."""
    verbose: bool = False
    """Show tracebacks and debug messages."""

    def __post_init__(self) -> None:
        _check_procedural(self.procedural, self.classes)
        _at_least("--exemplars-per-class", self.exemplars_per_class, 1)
        _at_least("--exact-clusters", self.exact_clusters, 2 * self.exemplars_per_class)
        _at_least("--oracle-models", self.oracle_models, 0)
        _at_least("--workers", self.workers, 0)
        _positive("--time-limit-s", self.time_limit_s)
        _positive("--worker-memory-gb", self.worker_memory_gb)
        _positive("--max-extent", self.max_extent)
        Axes(self.up, self.front, self.unit_m)
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise InputError(f"--classes must be distinct names, got {list(self.classes)}")
        if not 0 <= self.val_share < 1:
            raise InputError(f"--val-share must be in 0..1, got {self.val_share}")
        if self.held_out is not None and not self.held_out.is_file():
            raise InputError(f"--held-out {self.held_out}: no such file")
        made = any(self.procedural_of(name) for name in self.classes)
        if not self.cad and not self.shapenet and not made:
            raise InputError(
                "nothing to build from: give --cad, --shapenet, or --procedural for one of "
                f"{', '.join(FAMILIES)}"
            )

    def procedural_of(self, class_name: str) -> int:
        """Return how many models of a class to generate."""
        if class_name not in FAMILIES:
            return 0
        if isinstance(self.procedural, int):
            return self.procedural
        pairs = [word.partition("=") for word in self.procedural if "=" in word]
        counts = {name: count for name, _, count in pairs}
        rest = next((word for word in self.procedural if "=" not in word), "0")
        return int(counts.get(class_name, rest))

    @property
    def cache_folder(self) -> Path:
        """Where records are kept."""
        return self.cache or self.out.with_name(self.out.name + ".cache")


@dataclass(frozen=True)
class PackConfig:
    """Options of `export_pack.py`."""

    shapedb: Positional[Path]
    """Folder of the database."""
    out: Path = Path("exemplars.glb")
    """GLB to write."""
    compression: Compression = "none"
    """none: 16-bit positions that most tools read. meshopt: half the size, for viewers with
    EXT_meshopt_compression; a bundle needs none."""
    mean_error: float = 0.12
    """Mean distance from the model that simplification may reach, % of the box's diagonal."""
    tail_error: float = 0.8
    """The same for the 99.9th percentile of the distance."""
    worst_error: float = 2.0
    """The same for the largest distance, which thin legs decide."""
    normal_error: float = 7.0
    """Mean angle between shading and the model's that it may reach, degrees."""
    triangles: int = 1500
    """Most triangles per exemplar, even if it is then further from its model."""
    report: Path | None = None
    """CSV to write with size and error of each exemplar."""
    workers: int = 2
    """Processes; 0 works in this one."""
    overwrite: bool = False
    """Replace an existing file."""
    verbose: bool = False
    """Show tracebacks and debug messages."""

    def __post_init__(self) -> None:
        _at_least("--triangles", self.triangles, 12)
        _at_least("--workers", self.workers, 0)
        _positive("--mean-error", self.mean_error)
        _positive("--tail-error", self.tail_error)
        _positive("--worst-error", self.worst_error)
        _positive("--normal-error", self.normal_error)

    @property
    def options(self) -> PackOptions:
        """What `write_pack` needs of it."""
        tolerance = Tolerance(
            self.mean_error / 100,
            self.tail_error / 100,
            self.worst_error / 100,
            self.normal_error,
            self.triangles,
        )
        return PackOptions(tolerance, self.compression, self.workers)


@dataclass(frozen=True)
class CreditConfig:
    """Options of credit_bundle.py."""

    bundle: Positional[Path]
    """Folder of the bundle whose credits to write anew."""
    notice: Path | None = None
    """Also write this file, as the project's NOTICE."""
    verbose: bool = False
    """Show tracebacks and debug messages."""


def _check_procedural(procedural: int | tuple[str, ...], classes: tuple[str, ...]) -> None:
    """Refuse counts that are none, and classes that are none or that nothing generates."""
    words = (str(procedural),) if isinstance(procedural, int) else procedural
    plain = [word for word in words if "=" not in word]
    given = [word.partition("=") for word in words if "=" in word]
    pairs = [(name, count) for name, _, count in given]
    counts = [*plain, *(count for _, count in pairs)]
    wrong = [count for count in counts if not (count.isascii() and count.isdigit())]
    if wrong or len(plain) > 1 or len(dict(pairs)) < len(pairs):
        raise InputError(
            "--procedural must be a number of at least 0, or numbers by class, as in 20 chair=60; "
            f"got {' '.join(words)}"
        )
    for name, _ in pairs:
        if name not in FAMILIES:
            raise InputError(
                f"--procedural {name}: nothing generates this class, only {', '.join(FAMILIES)}; "
                f"put CAD files into a folder {name}/ of --cad"
            )
        if name not in classes:
            raise InputError(f"--procedural {name}: is not one of --classes {' '.join(classes)}")


def _at_least(flag: str, value: int, least: int) -> None:
    if value < least:
        raise InputError(f"{flag} must be at least {least}, got {value}")


def _positive(flag: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise InputError(f"{flag} must be positive, got {value}")
