"""Turn a dataset that other people made into one of ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from tyro.conf import Positional

from p2o_shapedb.database import ShapeDB
from p2o_train.data.corenet import CoReNetDataset, CoReNetOptions
from p2o_train.data.corenet_scene import ImageKind
from p2o_train.data.pix3d import Pix3DDataset, Pix3DOptions
from p2o_train.data.pix3d_entry import Split
from p2o_train.data.pix3d_models import FRONT
from p2o_train.data.sample import Sample
from p2o_train.data.sharding import Count, Made, Recipe, ShardJob, make_shards
from p2o_train.data.shards import SCHEMA_VERSION, write_shard
from points2objects.errors import InputError
from points2objects.files import sha256


@dataclass(frozen=True)
class ImportConfig:
    """Options of `import_dataset.py`."""

    format: Positional[Literal["corenet", "pix3d"]]
    """corenet: ShapeNet-pairs and ShapeNet-triplets. pix3d: photographs."""
    root: Path
    """corenet: folder that holds triplets.train and so on. pix3d: folder that holds pix3d.json."""
    shapedb: Path = Path("shapedb")
    """Folder from shapedb_export/build_db.py, built from the meshes that the dataset uses."""
    out: Path = Path("dataset")
    """Folder to write. An unfinished import of the same options is continued."""
    train: int | None = None
    """At most so many training pictures; all by default."""
    val: int | None = None
    """At most so many validation pictures; all by default."""
    shapenet: Path = Path("ShapeNetCore.v2")
    """corenet: folder of ShapeNetCore.v2, the one that the database was built from."""
    scenes: Literal["single", "pairs", "triplets"] = "triplets"
    """corenet: which scenes."""
    held_out: Literal["val", "test"] = "val"
    """corenet: what becomes our val split; test for numbers to compare with the paper's."""
    list_models: Path | None = None
    """corenet: only write the models of the val and test scenes to this file, for build_db.py
    --held-out, and stop."""
    image: ImageKind = "pbrt"
    """corenet: which of the two pictures of each scene."""
    mirrored: bool = False
    """corenet: mirror the pictures, if their transforms turn out to mirror the meshes."""
    cad: Path = Path("pix3d_cad")
    """pix3d: folder of links to the meshes, the one that the database was built from."""
    link_cad: bool = False
    """pix3d: only link the meshes into --cad, for build_db.py, and stop."""
    split: Split = "s1"
    """pix3d: hold a quarter out, of the pictures (s1) or of the models (s2)."""
    val_list: Path | None = None
    """pix3d: hold out what this file names instead: a picture a line, or COCO's JSON."""
    skip_missing: bool = False
    """Leave pictures out that show models that the database lacks."""
    workers: int = 0
    """Processes; 0: one per core."""
    contact_sheet: Path | None = None
    """Also draw labelled samples into this PNG."""
    sheet_samples: int = 36
    """Samples on the contact sheet, half of them from each split."""
    overwrite: bool = False
    """Replace an existing dataset."""
    verbose: bool = False
    """Show tracebacks and debug messages."""

    def __post_init__(self) -> None:
        for flag, count in (("--train", self.train), ("--val", self.val)):
            if count is not None and count < 0:
                raise InputError(f"{flag} must be at least 0, got {count}")
        if self.workers < 0:
            raise InputError(f"--workers must be at least 0, got {self.workers}")
        if self.sheet_samples < 1:
            raise InputError(f"--sheet-samples must be at least 1, got {self.sheet_samples}")
        if not self.root.is_dir():
            raise InputError(f"--root {self.root}: no such folder")
        if self.link_cad and self.format != "pix3d":
            raise InputError("--link-cad is for pix3d; corenet's meshes come from --shapenet")
        if self.list_models is not None and self.format != "corenet":
            raise InputError("--list-models is for corenet; of pix3d no list is made")

    @property
    def cache(self) -> Path:
        """Where the boxes of meshes are kept between processes and runs."""
        return self.out.with_name(self.out.name + ".cache")


@dataclass(frozen=True)
class Imported:
    """What `import_dataset` did.

    Attributes:
        made: The dataset.
        without_model: Pictures left out because the database lacks a model.
        without_label: Pictures left out because nothing in them can be labelled.
    """

    made: Made
    without_model: int
    without_label: int


class Source(Protocol):
    """A foreign dataset: samples by number, and what identifies each."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Name of each sample."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...

    def missing(self, index: int) -> tuple[str, ...]:
        """Return the models of a sample that the database lacks."""
        ...


@dataclass(frozen=True)
class Choice:
    """Pictures of a split to import.

    Attributes:
        keys: The pictures.
        skipped: Pictures passed over because the database lacks a model of theirs.
        missing: Those models.
    """

    keys: tuple[str, ...]
    skipped: int
    missing: frozenset[str]


def import_dataset(config: ImportConfig) -> Imported:
    """Import what is missing, then write the manifest.

    Raises:
        InputError: A file is broken, a model is not in the database, nothing can be labelled, or
            the folder holds a finished dataset or an unfinished one of other options.
    """
    shapedb = ShapeDB.load(config.shapedb)
    limits = {"val": config.val, "train": config.train}
    choices = {
        split: Choice((), 0, frozenset())
        if limit == 0
        else choose(open_source(config, split, shapedb), limit, config.skip_missing)
        for split, limit in limits.items()
    }
    _refuse_missing(config, shapedb, choices)
    keys = {split: choice.keys for split, choice in choices.items()}
    if not any(keys.values()):
        raise InputError(f"{config.root}: no picture to import; check --root, --train and --val")
    counts = {split: len(names) for split, names in keys.items()}
    plan = _plan(config, shapedb, keys)
    start = partial(_Importer, config, keys)
    made = make_shards(Recipe(config.out, plan, counts, start, config.workers, config.overwrite))
    if not made.samples:
        raise InputError(
            f"{config.out}: none of {sum(counts.values())} pictures could be labelled: each "
            "object is hidden, out of the picture or above the camera; is --root what it should be?"
        )
    skipped = sum(choice.skipped for choice in choices.values())
    return Imported(made, skipped, sum(counts.values()) - made.samples)


def open_source(
    config: ImportConfig, split: str, shapedb: ShapeDB, keys: tuple[str, ...] | None = None
) -> Source:
    """Open the foreign dataset that becomes one of our splits.

    Args:
        config: The options.
        split: "train" or "val".
        shapedb: The database.
        keys: Pictures to take; all by default.
    """
    if config.format == "corenet":
        corenet = CoReNetOptions(config.shapenet, config.image, config.mirrored, config.cache)
        theirs = f"{config.scenes}.{config.held_out if split == 'val' else split}"
        return CoReNetDataset(config.root, theirs, shapedb, corenet, keys)
    pix3d = Pix3DOptions(config.cad, config.split, config.val_list, config.cache)
    return Pix3DDataset(config.root, split, shapedb, pix3d, keys)


def choose(source: Source, limit: int | None, skip_missing: bool) -> Choice:
    """Take the first pictures of a source whose models the database has.

    Args:
        source: The foreign dataset.
        limit: Pictures to take, or all.
        skip_missing: Whether another picture replaces one that shows a model too few.
    """
    from tqdm import tqdm

    wanted = len(source) if limit is None else limit
    keys: list[str] = []
    skipped = 0
    missing: set[str] = set()
    with tqdm(total=min(wanted, len(source)), unit="picture", disable=None, desc="models") as bar:
        for index, key in enumerate(source.keys):
            if len(keys) + (0 if skip_missing else skipped) >= wanted:
                break
            lacks = source.missing(index)
            missing.update(lacks)
            skipped += bool(lacks)
            if not lacks:
                keys.append(key)
            bar.update(not lacks or not skip_missing)
    return Choice(tuple(keys), skipped, frozenset(missing))


def _refuse_missing(config: ImportConfig, shapedb: ShapeDB, choices: Mapping[str, Choice]) -> None:
    missing = frozenset[str]().union(*(choice.missing for choice in choices.values()))
    if not missing or config.skip_missing:
        return
    build = {
        "corenet": f"--shapenet {config.shapenet} --procedural 0 --exemplars any --held-out LIST, "
        "and import_dataset.py corenet --list-models LIST before",
        "pix3d": f"--cad {config.cad} --front={FRONT} --procedural 0 --exemplars any",
    }[config.format]
    raise InputError(
        f"{config.root}: {sum(choice.skipped for choice in choices.values())} pictures show "
        f"{len(missing)} models that shape database {shapedb.digest[:8]} lacks (like "
        f"{min(missing)}); build it with them (python shapedb_export/build_db.py {build}, and "
        "--classes for other classes than the usual six), or add --skip-missing to leave these "
        "pictures out"
    )


def _plan(
    config: ImportConfig, shapedb: ShapeDB, keys: Mapping[str, tuple[str, ...]]
) -> dict[str, Any]:
    how: dict[str, Any] = {"format": config.format}
    if config.format == "corenet":
        how |= {"scenes": config.scenes, "image": config.image, "mirrored": config.mirrored}
    pictures = {split: sha256("\n".join(names).encode()) for split, names in keys.items()}
    counts = {split: len(names) for split, names in keys.items()}
    return {
        "schema": SCHEMA_VERSION,
        "classes": list(shapedb.classes),
        "shapedb_digest": shapedb.digest,
        "config": how | counts | {"pictures": pictures},
    }


class _Importer:
    """Makes shards out of a foreign dataset; pictures without a label are left out."""

    def __init__(
        self, config: ImportConfig, keys: Mapping[str, tuple[str, ...]], count: Count
    ) -> None:
        self._count = count
        self._shapedb = ShapeDB.load(config.shapedb)
        self._sources = {
            split: open_source(config, split, self._shapedb, names)
            for split, names in keys.items()
            if names
        }

    def make(self, job: ShardJob, path: Path) -> None:
        """Import one shard and write it."""
        samples = []
        for number in range(job.first, job.first + job.count):
            sample = self._sources[job.split][number]
            if len(sample):
                samples.append(sample)
            self._count(1)
        write_shard(path, samples, self._shapedb)

    def close(self) -> None:
        """Nothing stays open."""
