"""Put the records of all models together: splits, exemplars, labels, and figures about them."""

import contextlib
import hashlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from p2o_shapedb.cache import Cache
from p2o_shapedb.clustering.cluster import ClusterOptions, cluster_class
from p2o_shapedb.clustering.cluster_cache import Clustered, ClusterJob, kept_clusters
from p2o_shapedb.clustering.quality import ClusterQuality, measure_clusters
from p2o_shapedb.clustering.soft_labels import soft_labels, soft_radius
from p2o_shapedb.config import BuildConfig
from p2o_shapedb.database import SDF_SIZE, ModelEntry, ShapeDB
from p2o_shapedb.process import Facts, Job
from p2o_shapedb.twins import twin_groups
from points2objects.errors import InputError
from points2objects.geometry import FloatArray

log = logging.getLogger(__name__)

PROCEDURAL_SOURCE = "points2objects procedural"
PROCEDURAL_LICENCE = "same as points2objects"


@dataclass(frozen=True)
class Made:
    """A model that is in the cache.

    Attributes:
        job: What it was made from.
        key: Its key in the cache.
        facts: What is known of it; mesh and distances stay in their files.
    """

    job: Job
    key: str
    facts: Facts


@dataclass(frozen=True)
class Assembled:
    """A database and the figures of its clusters.

    Attributes:
        database: The database, not saved yet.
        quality: Figures per class.
    """

    database: ShapeDB
    quality: tuple[ClusterQuality, ...]


def assemble(config: BuildConfig, made: tuple[Made, ...], cache: Cache) -> Assembled:
    """Cluster every class and label every model.

    Raises:
        InputError: A class has no models, or too few.
    """
    k = config.exemplars_per_class
    twins = _find_twins(made, cache, config.classes)
    splits = assign_splits([item.job for item in made], config, twins)
    exemplar_id = np.zeros(len(made), np.int32)
    labels = np.zeros((len(made), k), np.float32)
    exemplar_model: list[int] = []
    radii: list[float] = []
    quality: list[ClusterQuality] = []
    for class_id, class_name in enumerate(config.classes):
        rows = np.array([i for i, m in enumerate(made) if m.job.class_name == class_name], int)
        if not len(rows):
            raise InputError(
                f"class {class_name}: no models; give --cad with a folder {class_name}/"
            )
        train = np.array([splits[i] == "train" for i in rows])
        ships = np.array([config.exemplars == "any" or _ships(made[i].job) for i in rows])
        options = ClusterOptions(k, config.seed, class_name, config.exact_clusters)
        job = ClusterJob(tuple(made[i].key for i in rows), train, ships, options)
        clustered = kept_clusters(cache, job, partial(_cluster, cache, job))
        found = clustered.clusters
        quality.append(clustered.quality)
        radii.append(soft_radius(found.distances[train]))
        exemplar_model += [int(rows[i]) for i in found.exemplars]
        exemplar_id[rows] = class_id * k + found.nearest
        labels[rows] = soft_labels(found.distances, radii[-1])
    entries = zip(made, splits, strict=True)
    database = ShapeDB(
        classes=config.classes,
        exemplars_per_class=k,
        models=tuple(_entry(item.job, item.facts, split) for item, split in entries),
        sdf=np.stack([cache.sdf(made[i].key) for i in exemplar_model]),
        points=np.stack([item.facts.points for item in made]),
        exemplar_id=exemplar_id,
        exemplar_model=np.array(exemplar_model, np.int32),
        soft_labels=labels,
        soft_radius=np.array(radii, np.float32),
    )
    return Assembled(database, tuple(quality))


def assign_splits(
    jobs: list[Job], config: BuildConfig, twins: Sequence[int] | None = None
) -> list[str]:
    """Assign each model to "train" or "val"; twins go together.

    `config.held_out` decides if there is one, otherwise a hash of the model's id; every class with
    a spare model then gets a val one, and none lacks train ones for its exemplars.

    Args:
        jobs: The models.
        config: Options of the build.
        twins: For each model the first of those that are the same shape; none are by default.

    Raises:
        InputError: The file is no text, or names no model of the build.
    """
    groups: dict[int, list[int]] = {}
    for i, first in enumerate(range(len(jobs)) if twins is None else twins):
        groups.setdefault(first, []).append(i)
    if config.held_out is not None and jobs:
        listed = _listed_splits(jobs, config.held_out)
        held = {
            i for rows in groups.values() if any(listed[i] == "val" for i in rows) for i in rows
        }
        return ["val" if i in held else "train" for i in range(len(jobs))]
    drawn = {first: _draw(jobs, rows, config.seed) for first, rows in groups.items()}
    held_out = {first for first, value in drawn.items() if value < config.val_share}
    for class_name in config.classes:
        own = [first for first in groups if jobs[first].class_name == class_name]
        by_draw = sorted(own, key=lambda first: drawn[first])
        total = sum(len(groups[first]) for first in own)
        spare = [f for f in by_draw if total - len(groups[f]) > config.exemplars_per_class]
        if config.val_share and spare:
            held_out.add(spare[0])
        # Exemplars come first: what is left to train on must not be too little for want of luck.
        left = sum(len(groups[first]) for first in own if first not in held_out)
        for first in reversed([first for first in by_draw if first in held_out]):
            if left < config.exemplars_per_class:
                held_out.remove(first)
                left += len(groups[first])
    held = {i for first in held_out for i in groups[first]}
    return ["val" if i in held else "train" for i in range(len(jobs))]


def _draw(jobs: list[Job], rows: list[int], seed: int) -> float:
    name = f"{seed}/{min(jobs[i].id for i in rows)}"
    return int(hashlib.sha256(name.encode()).hexdigest()[:13], 16) / 16**13


def _find_twins(made: tuple[Made, ...], cache: Cache, classes: tuple[str, ...]) -> list[int]:
    """Return for each model the first of its class that is the same shape, and tell of them."""
    found = list(range(len(made)))
    for class_name in classes:
        rows = [i for i, item in enumerate(made) if item.job.class_name == class_name]
        extents = np.array([made[i].facts.extent_m for i in rows]).reshape(-1, 3)
        groups = twin_groups(cache, [made[i].key for i in rows], extents)
        for place, group in zip(rows, groups, strict=True):
            found[place] = rows[group]
        for first in sorted({rows[group] for group in groups}):
            same = [made[i].job.id for i in rows if found[i] == first]
            if len(same) > 1:
                log.warning(
                    "%d models are one shape, and kept on one side of the split: %s%s",
                    *(len(same), ", ".join(same[:4]), ", .." if len(same) > 4 else ""),
                )
    return found


def _listed_splits(jobs: list[Job], path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--held-out {path}: cannot be read as text ({error})") from error
    wanted = {line.strip() for line in lines} - {""}
    names = [{job.id} | ({job.file.key} if job.file else set()) for job in jobs]
    known = wanted & set[str]().union(*names)
    if not known:
        raise InputError(
            f"--held-out {path}: names none of the {len(jobs)} models; expected one a line, "
            f"like {' or '.join(sorted(names[0]))}"
        )
    if len(known) < len(wanted):
        lacks = min(wanted - known)
        log.info(
            "%s: %d of %d models are not in this build, like %s",
            *(path, len(wanted - known), len(wanted), lacks),
        )
    return ["val" if theirs & known else "train" for theirs in names]


def _cluster(cache: Cache, job: ClusterJob) -> Clustered:
    with _grids(cache, list(job.keys), job.options.exact_up_to) as grids:
        found = cluster_class(grids, job.train, job.eligible, job.options)
        return Clustered(found, measure_clusters(grids, job.train, found, job.options.seed))


@contextlib.contextmanager
def _grids(cache: Cache, keys: list[str], in_memory: int) -> Iterator[FloatArray]:
    """Give the signed distances of some models as one array, (n, 32, 32, 32).

    Of more models than `in_memory` it lies in a temporary file, so that memory stays bounded.
    """
    if len(keys) <= in_memory:
        yield np.stack([cache.sdf(key) for key in keys])
        return
    with tempfile.TemporaryDirectory(dir=cache.root, prefix=".sdf-") as folder:
        path = Path(folder) / "sdf.npy"
        shape = (len(keys), SDF_SIZE, SDF_SIZE, SDF_SIZE)
        grids = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        if sys.platform == "linux":
            # On a full disk this fails with an error; writing to the map would kill the process.
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        for row, key in enumerate(keys):
            grids[row] = cache.sdf(key)
        yield grids
        del grids  # closes the file, which some systems want before it is deleted


def _ships(job: Job) -> bool:
    return job.file is None or job.file.ship


def _entry(job: Job, facts: Facts, split: str) -> ModelEntry:
    x, y, z = (float(side) for side in facts.extent_m)
    return ModelEntry(
        id=job.id,
        class_name=job.class_name,
        split=split,
        source=job.file.source if job.file else PROCEDURAL_SOURCE,
        licence=job.file.licence if job.file else PROCEDURAL_LICENCE,
        attribution=job.file.attribution if job.file else "",
        ship=_ships(job),
        extent_m=(x, y, z),
        symmetry=facts.symmetry,
        mirror_axis=facts.mirror_axis,
    )
