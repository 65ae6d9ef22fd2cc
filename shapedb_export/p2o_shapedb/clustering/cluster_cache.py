"""Keep the clusters of a class: on a second build they would cost more than everything else."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from p2o_shapedb.cache import Cache
from p2o_shapedb.clustering.cluster import ClassClusters, ClusterOptions
from p2o_shapedb.clustering.quality import ClusterQuality
from p2o_shapedb.command import atomic_path
from p2o_shapedb.pipeline_version import pipeline_version
from points2objects.errors import InputError
from points2objects.files import sha256

_ARRAYS, _QUALITY = "clusters.npz", "quality.json"


@dataclass(frozen=True)
class Clustered:
    """The clusters of one class, and how good they are.

    Attributes:
        clusters: Exemplars and distances.
        quality: Figures.
    """

    clusters: ClassClusters
    quality: ClusterQuality


@dataclass(frozen=True)
class ClusterJob:
    """What the clusters of a class depend on.

    Attributes:
        keys: Keys of its n models in the cache.
        train: Models that shape the clusters, (n,).
        eligible: Models that may become exemplars, (n,).
        options: Number of exemplars, seed and limits.
    """

    keys: tuple[str, ...]
    train: npt.NDArray[np.bool_]
    eligible: npt.NDArray[np.bool_]
    options: ClusterOptions

    def digest(self) -> str:
        """Return the name under which the result is kept."""
        told = [self.keys, self.train.tolist(), self.eligible.tolist(), asdict(self.options)]
        text = pipeline_version("clustering.quality") + json.dumps(told)
        return sha256(text.encode())[:32]


def kept_clusters(cache: Cache, job: ClusterJob, make: Callable[[], Clustered]) -> Clustered:
    """Return the clusters of a class, made now only if the cache does not hold them.

    Raises:
        InputError: What the cache holds is damaged, or `make` raises it.
    """
    folder = cache.root / "clusters" / job.digest()
    if folder.is_dir():
        return _read(folder)
    made = make()
    with atomic_path(folder, overwrite=True) as target:
        target.mkdir()
        np.savez(
            target / _ARRAYS,
            exemplars=made.clusters.exemplars,
            nearest=made.clusters.nearest,
            distances=made.clusters.distances,
        )
        (target / _QUALITY).write_text(json.dumps(asdict(made.quality)), "utf-8")
    return made


def _read(folder: Path) -> Clustered:
    try:
        with np.load(folder / _ARRAYS, allow_pickle=False) as arrays:
            clusters = ClassClusters(arrays["exemplars"], arrays["nearest"], arrays["distances"])
        figures = json.loads((folder / _QUALITY).read_text("utf-8"))
        sizes = tuple(figures.pop("cluster_sizes"))
        return Clustered(clusters, ClusterQuality(cluster_sizes=sizes, **figures))
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}: damaged ({error}); delete it and run again") from error
