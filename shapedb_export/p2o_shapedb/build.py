"""Turn CAD files and generators into a shape database, one cached model at a time."""

import hashlib
import itertools
import json
import logging
import multiprocessing
import os
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from p2o_shapedb import procedural
from p2o_shapedb.canonical import Canonical, canonicalise, surface_points
from p2o_shapedb.cluster import cluster_class, soft_labels, soft_radius
from p2o_shapedb.command import atomic_path, refuse_existing
from p2o_shapedb.config import BuildConfig
from p2o_shapedb.database import SURFACE_POINTS, CanonicalMesh, ModelEntry, ShapeDB, mesh_path
from p2o_shapedb.meshes import CadFile, RawMesh, clean, find_cad, load_mesh
from p2o_shapedb.overrides import Override, read_overrides
from p2o_shapedb.sdf import OPEN_POLICY, OpenPolicy, SignedDistance, signed_distance
from p2o_shapedb.symmetry import Symmetry, measure_symmetry
from points2objects.errors import InputError
from points2objects.geometry import FloatArray

log = logging.getLogger(__name__)

PIPELINE_VERSION = 1
"""Raise it when a model's record would come out differently; it invalidates cached records."""

FRONT_RATIO = 1.02
"""A shape that looks the same from both sides is turned if it is deeper than wide by this."""

PROCEDURAL_SOURCE = "points2objects procedural"
PROCEDURAL_LICENCE = "same as points2objects"


@dataclass(frozen=True)
class Job:
    """One model to process.

    Attributes:
        id: Id of the model in the database.
        class_name: Its class.
        file: CAD file, or None for a procedural model.
        index: Number of the procedural model.
        seed: Of the procedural model.
        turn_deg: Turn about +y that makes it face -z.
        max_extent: Largest side to accept, metres.
    """

    id: str
    class_name: str
    file: CadFile | None
    index: int
    seed: int
    turn_deg: float
    max_extent: float

    def cache_key(self) -> str:
        """Return a digest of everything the model's record depends on."""
        content = self.file.path.read_bytes() if self.file else b"procedural"
        words = [PIPELINE_VERSION, self.id, self.index, self.seed, self.turn_deg, self.max_extent]
        return hashlib.sha256(json.dumps(words).encode() + content).hexdigest()[:32]

    def load(self) -> RawMesh:
        """Read or generate the mesh."""
        if self.file:
            return load_mesh(self.file.path)
        model = procedural.generate(self.class_name, self.index, self.seed)
        return clean(RawMesh(model.vertices, model.faces, model.colors, True), self.id)


@dataclass(frozen=True)
class Record:
    """What processing one model gives; kept in the cache.

    Attributes:
        sdf: (32, 32, 32) float32.
        points: (512, 3) float32, canonical.
        extent_m: (3,), metres.
        symmetry: See `ModelEntry`.
        mirror_axis: See `ModelEntry`.
        method: How the inside was found, see `sdf.SignedDistance`.
        seconds: Time of the signed distance.
    """

    sdf: FloatArray
    points: FloatArray
    extent_m: FloatArray
    symmetry: int
    mirror_axis: int
    method: str
    seconds: float


@dataclass(frozen=True)
class BuildReport:
    """What a build did.

    Attributes:
        database: The result.
        refused: One line per CAD file left out.
        methods: Number of models per way of finding the inside.
        sdf_seconds: Median time of one signed distance grid.
    """

    database: ShapeDB
    refused: tuple[str, ...]
    methods: dict[str, int]
    sdf_seconds: float


def build(config: BuildConfig) -> BuildReport:
    """Make a database and write it to `config.out`.

    Records of models that are done wait in `<out>.partial`, so that an interrupted build goes on
    where it stopped.

    Raises:
        InputError: No CAD, too few models of a class, or a file that `strict` does not accept.
    """
    refuse_existing(config.out, config.overwrite)
    jobs, refused = _jobs(config)
    cache = config.out.with_name(config.out.name + ".partial")
    cache.mkdir(parents=True, exist_ok=True)
    done: list[tuple[Job, Path]] = []
    for job, outcome in zip(jobs, _run(jobs, cache, config.workers), strict=True):
        if outcome.error and config.strict:
            raise InputError(outcome.error)
        if outcome.error:
            refused.append(outcome.error)
        else:
            done.append((job, outcome.folder))
    records = [_read_record(folder) for _, folder in done]
    database = _assemble(config, [job for job, _ in done], records)
    with atomic_path(config.out, config.overwrite) as folder:
        database.save(folder)
        for job, source in done:
            target = mesh_path(folder, job.id)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / "mesh.npz", target)
        methods = dict(Counter(record.method for record in records))
        made = {
            "config": json.loads(json.dumps(asdict(config), default=str)),
            "refused": refused,
            "methods": methods,
        }
        (folder / "build.json").write_text(json.dumps(made, indent=1) + "\n", "utf-8")
    shutil.rmtree(cache)
    return BuildReport(
        database=ShapeDB.load(config.out),
        refused=tuple(refused),
        methods=methods,
        sdf_seconds=float(np.median([record.seconds for record in records])),
    )


def _jobs(config: BuildConfig) -> tuple[list[Job], list[str]]:
    overrides = read_overrides()
    jobs: list[Job] = []
    refused: list[str] = []
    taken: set[str] = set()
    for root in config.cad:
        for file in find_cad(root, config.classes):
            override = overrides.get(file.key, Override())
            if override.skip:
                refused.append(f"{file.path}: left out by overrides.tsv ({override.reason})")
                continue
            model_id = _unique(f"{file.class_name}/{file.name}", taken)
            turn = 180.0 + override.turn_deg
            jobs.append(Job(model_id, file.class_name, file, 0, 0, turn, config.max_extent))
    for class_name in config.classes if config.procedural else ():
        for index in range(config.procedural):
            name = procedural.model_name(class_name, index)
            model_id = _unique(f"{class_name}/{name}", taken)
            jobs.append(Job(model_id, class_name, None, index, config.seed, 0.0, config.max_extent))
    return jobs, refused


def _unique(model_id: str, taken: set[str]) -> str:
    """Return the id, with a number if it is taken, and take it."""
    names = itertools.chain([model_id], (f"{model_id}-{i}" for i in itertools.count(2)))
    free = next(name for name in names if name not in taken)
    taken.add(free)
    return free


@dataclass(frozen=True)
class _Outcome:
    folder: Path
    error: str


def _run(jobs: list[Job], cache: Path, workers: int) -> Iterator[_Outcome]:
    from tqdm import tqdm

    tasks = [(job, cache) for job in jobs]
    bar = tqdm(total=len(jobs), unit="model", desc="models", disable=not sys.stderr.isatty())
    with bar:
        if workers == 1:
            for outcome in map(_process, tasks):
                bar.update()
                yield outcome
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, _end_with_parent) as pool:
            try:
                for outcome in pool.map(_process, tasks, chunksize=4):
                    bar.update()
                    yield outcome
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _end_with_parent() -> None:
    """Make a worker end when the process that started it is gone, however it ended."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _process(task: tuple[Job, Path]) -> _Outcome:
    """Make a model's record unless the cache has it."""
    job, cache = task
    folder = cache / job.cache_key()
    if folder.is_dir():
        return _Outcome(folder, "")
    try:
        record, mesh = process_model(job)
    except InputError as error:
        return _Outcome(folder, str(error))
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        mesh.save(temporary / "mesh.npz")
        values: dict[str, Any] = {key: np.asarray(value) for key, value in asdict(record).items()}
        np.savez(temporary / "record.npz", **values)
    return _Outcome(folder, "")


def process_model(job: Job) -> tuple[Record, CanonicalMesh]:
    """Load a model and measure it.

    Raises:
        InputError: The mesh cannot be used.
    """
    raw = job.load()
    found = _measure(job, raw, job.turn_deg)
    x, _, z = found.canonical.extent_m
    if found.symmetry.order == 2 and z > FRONT_RATIO * x:
        # Two fronts are equally good, so all such shapes take the one across their long side.
        found = _measure(job, raw, job.turn_deg + 90.0)
    record = Record(
        sdf=found.sdf.grid,
        points=found.points[::4].astype(np.float32),
        extent_m=found.canonical.extent_m,
        symmetry=found.symmetry.order,
        mirror_axis=found.symmetry.mirror_axis,
        method=found.sdf.method,
        seconds=found.seconds,
    )
    return record, found.canonical.mesh


@dataclass(frozen=True)
class _Measured:
    canonical: Canonical
    sdf: SignedDistance
    points: FloatArray
    symmetry: Symmetry
    seconds: float


def _measure(job: Job, raw: RawMesh, turn_deg: float) -> _Measured:
    canonical = canonicalise(raw, turn_deg)
    if canonical.extent_m.max() > job.max_extent:
        raise InputError(
            f"{job.file.path if job.file else job.id}: is {canonical.extent_m.max():.3g} m long, "
            f"more than --max-extent {job.max_extent:g}; is its unit the metre?"
        )
    start = time.perf_counter()
    policy = OPEN_POLICY.get(job.class_name, OpenPolicy.FILL)
    sdf = signed_distance(canonical.mesh.vertices, canonical.mesh.faces, policy)
    seconds = time.perf_counter() - start
    rng = np.random.default_rng(int(hashlib.sha256(job.id.encode()).hexdigest()[:16], 16))
    points = surface_points(canonical, sdf.grid, 4 * SURFACE_POINTS, rng)
    return _Measured(canonical, sdf, points, measure_symmetry(canonical, points), seconds)


def _read_record(folder: Path) -> Record:
    with np.load(folder / "record.npz", allow_pickle=False) as data:
        return Record(
            sdf=data["sdf"],
            points=data["points"],
            extent_m=data["extent_m"],
            symmetry=int(data["symmetry"]),
            mirror_axis=int(data["mirror_axis"]),
            method=str(data["method"]),
            seconds=float(data["seconds"]),
        )


def _assemble(config: BuildConfig, jobs: list[Job], records: list[Record]) -> ShapeDB:
    k = config.exemplars_per_class
    splits = _splits(jobs, config)
    exemplar_id = np.zeros(len(jobs), np.int32)
    labels = np.zeros((len(jobs), k), np.float32)
    exemplar_model: list[int] = []
    radii: list[float] = []
    for class_id, class_name in enumerate(config.classes):
        rows = np.array([i for i, job in enumerate(jobs) if job.class_name == class_name], int)
        if not len(rows):
            raise InputError(
                f"class {class_name}: no models; give --cad with a folder {class_name}/"
            )
        grids = np.stack([records[i].sdf for i in rows])
        train = np.array([splits[i] == "train" for i in rows])
        ships = np.array([config.exemplars == "any" or _ships(jobs[i]) for i in rows])
        found = cluster_class(grids, train, ships, k, config.seed, class_name)
        radii.append(soft_radius(found.distances[train]))
        exemplar_model += [int(rows[i]) for i in found.exemplars]
        exemplar_id[rows] = class_id * k + found.nearest
        labels[rows] = soft_labels(found.distances, radii[-1])
    return ShapeDB(
        classes=config.classes,
        exemplars_per_class=k,
        models=tuple(
            _entry(job, record, split)
            for job, record, split in zip(jobs, records, splits, strict=True)
        ),
        sdf=np.stack([records[i].sdf for i in exemplar_model]),
        points=np.stack([record.points for record in records]),
        exemplar_id=exemplar_id,
        exemplar_model=np.array(exemplar_model, np.int32),
        soft_labels=labels,
        soft_radius=np.array(radii, np.float32),
    )


def _splits(jobs: list[Job], config: BuildConfig) -> list[str]:
    """Assign each model by the hash of its id; every class with a spare model gets a val one."""
    drawn = [
        int(hashlib.sha256(f"{config.seed}/{job.id}".encode()).hexdigest()[:13], 16) / 16**13
        for job in jobs
    ]
    splits = ["val" if value < config.val_share else "train" for value in drawn]
    for class_name in config.classes:
        rows = [i for i, job in enumerate(jobs) if job.class_name == class_name]
        if config.val_share and len(rows) > config.exemplars_per_class + 1:
            splits[min(rows, key=lambda i: drawn[i])] = "val"
    return splits


def _ships(job: Job) -> bool:
    return job.file is None or job.file.ship


def _entry(job: Job, record: Record, split: str) -> ModelEntry:
    x, y, z = (float(side) for side in record.extent_m)
    return ModelEntry(
        id=job.id,
        class_name=job.class_name,
        split=split,
        source=job.file.source if job.file else PROCEDURAL_SOURCE,
        licence=job.file.licence if job.file else PROCEDURAL_LICENCE,
        attribution=job.file.attribution if job.file else "",
        ship=_ships(job),
        extent_m=(x, y, z),
        symmetry=record.symmetry,
        mirror_axis=record.mirror_axis,
    )
