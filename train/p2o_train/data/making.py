"""Render a dataset: labelled scenes of a shape database's models."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from p2o_shapedb.database import ShapeDB
from p2o_train.data.pixel_maps import (
    DEPTH_SUFFIX,
    MASK_SUFFIX,
    PixelMaps,
    depth_png,
    mask_png,
)
from p2o_train.data.sharding import Count, Made, Part, Recipe, ShardJob, make_shards
from p2o_train.data.shards import SCHEMA_VERSION, write_shard
from points2objects.errors import InputError

if TYPE_CHECKING:
    from p2o_train.rendering.generate import SampleGenerator


@dataclass(frozen=True)
class MakeConfig:
    """Options of `make_dataset.py`."""

    shapedb: Path = Path("shapedb")
    """Folder from shapedb_export/build_db.py."""
    out: Path = Path("dataset")
    """Folder to write. An unfinished dataset of the same options is continued."""
    train: int = 10_000
    """Training pictures, of the database's train models."""
    val: int = 500
    """Validation pictures, of its val models."""
    protocol: Literal["mixed", "pairs", "triplets"] = "mixed"
    """mixed: anything, with clutter and objects cut off, to train on. pairs, triplets: so many
    whole objects near each other and nothing else, as the paper evaluates."""
    quality: Literal["fast", "default", "path-traced"] = "default"
    """Lights, shadow maps and triangles per model; path-traced: seconds a picture, for sets to
    evaluate on, and needs the extra `pathtrace`."""
    assets: Path | None = None
    """Folder with hdri/*.exr, textures/, photos/pexels/ and cad/ for more variety; without it,
    patterns and environment maps that the project carries."""
    on_tables: float = 0.6
    """--protocol mixed: share of the tables on a floor that carry something: things of no class,
    and vessels, whose boxes then lie above the floor."""
    masks: bool = False
    """Also store which object each pixel shows; `check_labels.py` then proves the labels."""
    depth: bool = False
    """Also store the distance of each pixel."""
    shard: str | None = None
    """I/N: make only every N-th shard, from I = 0 to N - 1, for one machine of N. Copy the shard
    files of all into one folder and repeat the command without --shard: it completes the dataset,
    the same as one machine makes."""
    workers: int = 0
    """Processes; 0: one per core."""
    seed: int = 0
    """Seed; the same seed and options give the same dataset for any number of workers."""
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
            if count < 0:
                raise InputError(f"{flag} must be at least 0, got {count}")
        if self.train + self.val < 1:
            raise InputError("nothing to render: --train and --val are both 0")
        if self.workers < 0:
            raise InputError(f"--workers must be at least 0, got {self.workers}")
        if self.assets is not None and not self.assets.is_dir():
            raise InputError(f"--assets {self.assets}: no such folder")
        if self.sheet_samples < 1:
            raise InputError(f"--sheet-samples must be at least 1, got {self.sheet_samples}")
        if not 0 <= self.on_tables <= 1:
            raise InputError(f"--on-tables must be in 0..1, got {self.on_tables}")
        if self.part.count > 1 and self.contact_sheet is not None:
            raise InputError("--contact-sheet needs the whole dataset: leave it out with --shard")

    @property
    def part(self) -> Part:
        """Which shards to make."""
        return Part() if self.shard is None else Part.parse(self.shard)


def make_dataset(config: MakeConfig) -> Made:
    """Render what is missing, then write the manifest.

    Raises:
        InputError: The folder holds a finished dataset, or an unfinished one of other options; or
            the shape database has no model for a split that is wanted.
    """
    from p2o_train.rendering.catalog import refuse_empty_splits

    shapedb = ShapeDB.load(config.shapedb)
    # The smaller split first: something is there to look at soon.
    counts = {"val": config.val, "train": config.train}
    refuse_empty_splits(shapedb, [split for split, count in counts.items() if count])
    start = partial(_Renderer, config)
    plan = _plan(config, shapedb)
    return make_shards(
        Recipe(config.out, plan, counts, start, config.workers, config.overwrite, config.part)
    )


def _plan(config: MakeConfig, shapedb: ShapeDB) -> dict[str, Any]:
    return {
        "schema": SCHEMA_VERSION,
        "classes": list(shapedb.classes),
        "shapedb_digest": shapedb.digest,
        "config": {
            "train": config.train, "val": config.val, "quality": config.quality,
            "assets": config.assets is not None, "seed": config.seed, "protocol": config.protocol,
            "on_tables": config.on_tables, "masks": config.masks, "depth": config.depth,
        },
    }  # fmt: skip


class _Renderer:
    """Renders shards, keeping its renderer for the next one of the same split."""

    def __init__(self, config: MakeConfig, count: Count) -> None:
        self._config = config
        self._count = count
        self._shapedb = ShapeDB.load(config.shapedb)
        self._split = ""
        self._generator: SampleGenerator | None = None

    def make(self, job: ShardJob, path: Path) -> None:
        """Render one shard and write it."""
        generator = self._generator_of(job.split)
        samples, extras = [], []
        for number in range(job.first, job.first + job.count):
            drawn = generator.draw(number)
            samples.append(drawn.sample)
            extras.append(self._extras(drawn.maps))
            self._count(1)
        write_shard(path, samples, self._shapedb, extras)

    def _extras(self, maps: PixelMaps) -> dict[str, bytes]:
        files = {}
        if self._config.masks:
            files[MASK_SUFFIX] = mask_png(maps)
        if self._config.depth:
            files[DEPTH_SUFFIX] = depth_png(maps)
        return files

    def close(self) -> None:
        """Free the renderer."""
        if self._generator is not None:
            self._generator.close()

    def _generator_of(self, split: str) -> "SampleGenerator":
        from p2o_train.rendering.generate import SampleGenerator
        from p2o_train.rendering.protocols import SceneOptions

        if self._generator is None or self._split != split:
            self.close()
            config = self._config
            self._split = split
            self._generator = SampleGenerator(
                self._shapedb, split, config.seed, config.quality, config.assets,
                SceneOptions(config.protocol, config.on_tables),
            )  # fmt: skip
        return self._generator
