"""Put the records of all models together: splits, exemplars, labels, and figures about them."""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
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
from p2o_shapedb.splits import assign_splits
from p2o_shapedb.twins import twin_groups
from points2objects.geometry import FloatArray

log = logging.getLogger(__name__)

PROCEDURAL_SOURCE = "points2objects procedural"
PROCEDURAL_LICENCE = "Apache-2.0"


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
    """Cluster every class and label every model; each has enough of them."""
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
        train = np.array([splits[i] == "train" for i in rows])
        ships = np.array([config.exemplars == "any" or made[i].job.ships for i in rows])
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


def _entry(job: Job, facts: Facts, split: str) -> ModelEntry:
    x, y, z = (float(side) for side in facts.extent_m)
    return ModelEntry(
        id=job.id,
        class_name=job.class_name,
        split=split,
        source=job.file.source if job.file else PROCEDURAL_SOURCE,
        licence=job.file.licence if job.file else PROCEDURAL_LICENCE,
        attribution=job.file.attribution if job.file else "",
        ship=job.ships,
        extent_m=(x, y, z),
        symmetry=facts.symmetry,
        mirror_axis=facts.mirror_axis,
    )
