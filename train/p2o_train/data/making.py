"""Render a dataset with all cores: shard by shard, resumable, the same for any number of them."""

import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from p2o_shapedb.command import refuse_existing
from p2o_shapedb.database import ShapeDB
from p2o_train.data.shards import (
    MANIFEST,
    PLAN,
    SCHEMA_VERSION,
    describe_shard,
    read_json,
    shard_name,
    write_manifest,
    write_shard,
)
from points2objects.errors import InputError

if TYPE_CHECKING:
    from tqdm import tqdm

    from p2o_train.rendering.generate import SampleGenerator

SHARD_SAMPLES = 250


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
    quality: Literal["fast", "default"] = "default"
    """Lights, shadow maps and triangles per model."""
    assets: Path | None = None
    """Folder with hdri/*.exr, textures/, photos/pexels/ and cad/ for more variety; without it,
    patterns and environment maps that the project carries."""
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


@dataclass(frozen=True)
class ShardJob:
    """One shard to render.

    Attributes:
        split: "train" or "val".
        number: Of the shard.
        first: Number of its first sample.
        count: Of its samples.
    """

    split: str
    number: int
    first: int
    count: int


@dataclass(frozen=True)
class Made:
    """What `make_dataset` did.

    Attributes:
        samples: Samples of the dataset.
        rendered: How many of them are new.
        seconds: Time that took.
    """

    samples: int
    rendered: int
    seconds: float


def make_dataset(config: MakeConfig) -> Made:
    """Render what is missing, then write the manifest.

    Raises:
        InputError: The folder holds a finished dataset, or an unfinished one of other options.
    """
    shapedb = ShapeDB.load(config.shapedb)
    plan = _plan(config, shapedb)
    _prepare_folder(config, plan)
    jobs = shard_jobs(config)
    missing = [job for job in jobs if not _path(config.out, job).is_file()]
    started = time.monotonic()
    _render(config, missing)
    splits = {
        split: [describe_shard(_path(config.out, job)) for job in jobs if job.split == split]
        for split in ("train", "val")
    }
    write_manifest(config.out, plan, splits)
    return Made(
        config.train + config.val, sum(job.count for job in missing), time.monotonic() - started
    )


def shard_jobs(config: MakeConfig) -> list[ShardJob]:
    """Cut both splits into shards; the smaller split comes first."""
    return [
        ShardJob(split, number, first, min(SHARD_SAMPLES, total - first))
        for split, total in (("val", config.val), ("train", config.train))
        for number, first in enumerate(range(0, total, SHARD_SAMPLES))
    ]


def _plan(config: MakeConfig, shapedb: ShapeDB) -> dict[str, Any]:
    return {
        "schema": SCHEMA_VERSION,
        "classes": list(shapedb.classes),
        "shapedb_digest": shapedb.digest,
        "config": {
            "train": config.train, "val": config.val, "quality": config.quality,
            "assets": config.assets is not None, "seed": config.seed,
        },
    }  # fmt: skip


def _prepare_folder(config: MakeConfig, plan: dict[str, Any]) -> None:
    out = config.out
    if (out / MANIFEST).is_file():
        refuse_existing(out, config.overwrite)
    elif (out / PLAN).is_file() and not config.overwrite:
        if read_json(out / PLAN) != plan:
            raise InputError(
                f"{out}: holds an unfinished dataset of other options; repeat its options to go "
                "on, or add --overwrite"
            )
        return
    elif out.exists() and any(out.iterdir()) and not (out / PLAN).is_file():
        raise InputError(f"{out}: holds other files; choose an empty or new folder as --out")
    if out.exists():
        shutil.rmtree(out)
    for split in ("train", "val"):
        (out / split).mkdir(parents=True)
    (out / PLAN).write_text(json.dumps(plan, indent=1) + "\n", encoding="utf-8")


def _path(out: Path, job: ShardJob) -> Path:
    return out / job.split / shard_name(job.number)


def _render(config: MakeConfig, jobs: list[ShardJob]) -> None:
    from tqdm import tqdm

    if not jobs:
        return
    for name in ("LP_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # Workers inherit it before they load anything.
    workers = min(config.workers or len(os.sched_getaffinity(0)), len(jobs))
    total = sum(job.count for job in jobs)
    with tqdm(total=total, unit="image", disable=None, smoothing=0.05) as bar:
        if workers == 1:
            worker = _Worker(config, bar.update)
            for job in jobs:
                worker.render(job)
            worker.close()
        else:
            _render_in_processes(config, jobs, workers, bar)


def _render_in_processes(
    config: MakeConfig, jobs: list[ShardJob], workers: int, bar: "tqdm[Any]"
) -> None:
    # Not forked: an OpenGL context does not survive that.
    context = multiprocessing.get_context("spawn")
    done: Synchronized[int] = context.Value("q", 0)
    with context.Pool(workers, _start_worker, (config, done)) as pool:
        result = pool.map_async(_render_shard, jobs, chunksize=1)
        while not result.ready():
            result.wait(0.5)
            bar.update(done.value - bar.n)
        result.get()
        bar.update(done.value - bar.n)


class _Worker:
    """Renders shards, keeping its renderer for the next one of the same split."""

    def __init__(self, config: MakeConfig, count: Callable[[int], object]) -> None:
        self._config = config
        self._count = count
        self._shapedb = ShapeDB.load(config.shapedb)
        self._split = ""
        self._generator: SampleGenerator | None = None

    def render(self, job: ShardJob) -> None:
        """Render one shard and write it."""
        generator = self._generator_of(job.split)
        samples = []
        for number in range(job.first, job.first + job.count):
            samples.append(generator.sample(number))
            self._count(1)
        write_shard(_path(self._config.out, job), samples, self._shapedb)

    def close(self) -> None:
        """Free the renderer."""
        if self._generator is not None:
            self._generator.close()

    def _generator_of(self, split: str) -> "SampleGenerator":
        from p2o_train.rendering.generate import SampleGenerator

        if self._generator is None or self._split != split:
            self.close()
            config = self._config
            self._split = split
            self._generator = SampleGenerator(
                self._shapedb, split, config.seed, config.quality, config.assets
            )
        return self._generator


_workers: list[_Worker] = []
"""The worker of a pool's process: a pool hands nothing else to its functions."""


def _start_worker(config: MakeConfig, done: "Synchronized[int]") -> None:
    def count(images: int) -> None:
        with done.get_lock():
            done.value += images

    _workers.append(_Worker(config, count))


def _render_shard(job: ShardJob) -> None:
    _workers[0].render(job)
