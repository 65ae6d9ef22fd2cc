"""Write a dataset with all cores: shard by shard, resumable, the same for any number of them."""

import json
import multiprocessing
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any, Protocol

from p2o_shapedb.command import refuse_existing
from p2o_shapedb.progress import Progress
from p2o_train.data.shards import (
    MANIFEST,
    PLAN,
    describe_shard,
    read_json,
    shard_name,
    write_manifest,
)
from points2objects.errors import InputError

SHARD_SAMPLES = 250

Count = Callable[[int], object]
"""Is told how many more images are done."""


@dataclass(frozen=True)
class ShardJob:
    """One shard to make.

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
class Part:
    """One of several equal parts of a dataset's shards, for one of several machines.

    Attributes:
        index: Which, from 0.
        count: How many there are.
    """

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Part":
        """Read "0/4".

        Raises:
            InputError: It is no such pair, or the index is not below the count.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if match is None or int(match[1]) >= int(match[2]):
            raise InputError(
                f"--shard must be I/N with I from 0 to N - 1, as in 0/4 to 3/4, got {text!r}"
            )
        return cls(int(match[1]), int(match[2]))


class ShardMaker(Protocol):
    """Makes the shards that one process is given."""

    def make(self, job: ShardJob, path: Path) -> None:
        """Make one shard and write it to a path."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...


@dataclass(frozen=True)
class Recipe:
    """A dataset to make.

    Attributes:
        out: Folder to write.
        plan: What identifies the dataset, as JSON values; opens its manifest.
        counts: Samples to make of each split; splits are made in this order.
        start: Makes a process its `ShardMaker`; can be sent to other processes.
        workers: Processes; 0: one per core.
        overwrite: Whether a finished dataset may be replaced.
        part: Which shards to make; all by default.
    """

    out: Path
    plan: dict[str, Any]
    counts: Mapping[str, int]
    start: Callable[[Count], ShardMaker]
    workers: int
    overwrite: bool
    part: Part = Part()

    def jobs_of_part(self, jobs: Sequence[ShardJob]) -> Sequence[ShardJob]:
        """Return every so-manieth shard."""
        return jobs[self.part.index :: self.part.count]


@dataclass(frozen=True)
class Made:
    """What `make_shards` did.

    Attributes:
        samples: Samples of the dataset.
        new: How many were worked on now; the others were there from an interrupted run.
        seconds: Time that took.
        missing: Shards that other parts have still to make; the manifest is written without any.
    """

    samples: int
    new: int
    seconds: float
    missing: int = 0


def make_shards(recipe: Recipe) -> Made:
    """Make the shards that are missing, then write the manifest if that made all.

    Several machines make one part each, in one folder or in several. Once the shard files lie in
    one folder, whichever call finds them all there writes the manifest.

    Raises:
        InputError: The folder holds a finished dataset, or an unfinished one of other options.
    """
    if recipe.overwrite and recipe.part.count > 1:
        raise InputError("--overwrite deletes what other parts made: delete the folder instead")
    _prepare_folder(recipe)
    jobs = cut_shards(recipe.counts)
    todo = [job for job in recipe.jobs_of_part(jobs) if not _path(recipe.out, job).is_file()]
    started = time.monotonic()
    _run(recipe, todo)
    seconds = time.monotonic() - started
    missing = sum(not _path(recipe.out, job).is_file() for job in jobs)
    new = sum(job.count for job in todo)
    if missing:
        return Made(sum(job.count for job in jobs), new, seconds, missing)
    splits = {
        split: [describe_shard(_path(recipe.out, job)) for job in jobs if job.split == split]
        for split in ("train", "val")
    }
    write_manifest(recipe.out, recipe.plan, splits)
    samples = sum(shard.samples for shards in splits.values() for shard in shards)
    return Made(samples, new, seconds)


def cut_shards(counts: Mapping[str, int]) -> list[ShardJob]:
    """Cut splits of so many samples into shards."""
    return [
        ShardJob(split, number, first, min(SHARD_SAMPLES, total - first))
        for split, total in counts.items()
        for number, first in enumerate(range(0, total, SHARD_SAMPLES))
    ]


def _prepare_folder(recipe: Recipe) -> None:
    out = recipe.out
    if (out / MANIFEST).is_file():
        refuse_existing(out, recipe.overwrite)
    elif (out / PLAN).is_file() and not recipe.overwrite:
        if read_json(out / PLAN) != recipe.plan:
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
        # Another machine may be making another part in the same folder.
        (out / split).mkdir(parents=True, exist_ok=True)
    (out / PLAN).write_text(json.dumps(recipe.plan, indent=1) + "\n", encoding="utf-8")


def _path(out: Path, job: ShardJob) -> Path:
    return out / job.split / shard_name(job.number)


def _run(recipe: Recipe, jobs: list[ShardJob]) -> None:
    if not jobs:
        return
    for name in ("LP_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # Workers inherit it before they load anything.
    workers = min(recipe.workers or len(os.sched_getaffinity(0)), len(jobs))
    total = sum(job.count for job in jobs)
    with Progress("rendering", "image", total) as bar:
        if workers == 1:
            maker = recipe.start(bar.update)
            for job in jobs:
                maker.make(job, _path(recipe.out, job))
            maker.close()
        else:
            _run_in_processes(recipe, jobs, workers, bar)


def _run_in_processes(recipe: Recipe, jobs: list[ShardJob], workers: int, bar: Progress) -> None:
    # Not forked: an OpenGL context does not survive that.
    context = multiprocessing.get_context("spawn")
    done: Synchronized[int] = context.Value("q", 0)
    tasks = [(job, _path(recipe.out, job)) for job in jobs]
    with context.Pool(workers, _start_process, (recipe.start, done)) as pool:
        result = pool.map_async(_make_shard, tasks, chunksize=1)
        while not result.ready():
            result.wait(0.5)
            bar.update(done.value - bar.done)
        result.get()
        bar.update(done.value - bar.done)


_makers: list[ShardMaker] = []
"""The maker of a pool's process: a pool hands nothing else to its functions."""


def _start_process(start: Callable[[Count], ShardMaker], done: "Synchronized[int]") -> None:
    def count(images: int) -> None:
        with done.get_lock():
            done.value += images

    _makers.append(start(count))


def _make_shard(task: tuple[ShardJob, Path]) -> None:
    job, path = task
    _makers[0].make(job, path)
