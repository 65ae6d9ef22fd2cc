"""List the models to build from: CAD folders, ShapeNetCore, generators, with all corrections."""

import itertools
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from p2o_shapedb import procedural
from p2o_shapedb.cad.axes import Axes
from p2o_shapedb.cad.meshes import CadFile, find_cad
from p2o_shapedb.cad.model_search import alike_folders, unread_line, walk
from p2o_shapedb.cad.overrides import FileOverride, Frame, Overrides, SourceOverride
from p2o_shapedb.cad.shapenet import find_shapenet
from p2o_shapedb.config import BuildConfig
from p2o_shapedb.process import Job
from points2objects.errors import InputError

log = logging.getLogger(__name__)

SHAPENET_AXES = Axes(up="y", front="-z")


@dataclass(frozen=True)
class Found:
    """What the sources hold.

    Attributes:
        jobs: Models to process, ids distinct.
        left_out: One line per file that is left out on purpose, and per folder with files of
            formats that are not read.
    """

    jobs: tuple[Job, ...]
    left_out: tuple[str, ...]

    def unused(self, classes: Sequence[str]) -> dict[str, list[str]] | None:
        """Return why classes have no model, as far as the files that were left out tell."""
        bare = set(classes) - {job.class_name for job in self.jobs}
        told = {
            name: [line for line in self.left_out if f"/{name}" in line or " files of" in line]
            for name in sorted(bare)
        }
        return told if any(told.values()) else None


@dataclass(frozen=True)
class _Listed:
    """A CAD file, and what its source says of it."""

    file: CadFile
    name: str
    axes: Axes
    diagonal_m: float


def find_jobs(config: BuildConfig, overrides: Overrides) -> Found:
    """List every model of every source, in an order that depends on the files alone.

    Raises:
        InputError: A folder is missing or holds nothing of these classes.
    """
    jobs: list[Job] = []
    left_out: list[str] = []
    taken: set[str] = set()
    for listed in itertools.chain(_cad(config, overrides), _shapenet(config, overrides)):
        override = overrides.file(listed.file.key)
        class_name = override.class_name or listed.file.class_name
        if override.skip:
            left_out.append(f"{listed.file.path}: left out by --overrides ({override.reason})")
        elif class_name not in config.classes:
            left_out.append(f"{listed.file.path}: is a {class_name}, which is not in --classes")
        else:
            model_id = _unique(f"{class_name}/{listed.name}", taken)
            jobs.append(_job(config, model_id, class_name, listed, override))
    for class_name in config.classes:
        for index in range(config.procedural_of(class_name)):
            name = procedural.model_name(class_name, index)
            model_id = _unique(f"{class_name}/{name}", taken)
            jobs.append(Job(model_id, class_name, None, index, config.seed, 0.0, config.max_extent))
    return Found(tuple(jobs), (*left_out, *_unread(config)))


def _cad(config: BuildConfig, overrides: Overrides) -> Iterator[_Listed]:
    usual = Axes(config.up, config.front, config.unit_m)
    for root in config.cad:
        override = overrides.source(root)
        axes, diagonal_m = _framed(root, override, usual)
        files = find_cad(root, config.classes)
        _tell_of_others(root, config.classes)
        unlicensed = sum(not file.ship for file in files)
        if unlicensed and config.exemplars == "ship":
            log.info(
                "%s: %d of %d files have no licence to ship, so they teach but become no exemplars "
                "(index.json or --exemplars any changes that)",
                *(root, unlicensed, len(files)),
            )
        for file in files:
            yield _Listed(_known(file, root, override), file.name, axes, diagonal_m)


def _tell_of_others(root: Path, classes: tuple[str, ...]) -> None:
    others = sorted({p.name for p in root.iterdir() if p.is_dir()} - set(classes))
    if others:
        log.info("%s: not in --classes, so not read: %s", root, ", ".join(others))
    for class_name in classes:
        for name in alike_folders(root, class_name):
            log.warning(
                "%s: the folder %r is not read for the class %s; rename it, or merge the two",
                *(root, name, class_name),
            )


def _unread(config: BuildConfig) -> Iterator[str]:
    for root in config.cad:
        folders = [root / name for name in config.classes if (root / name).is_dir()]
        line = unread_line(root, itertools.chain(root.iterdir(), *map(walk, folders)))
        if line:
            log.warning("%s", line)
            yield line


def _shapenet(config: BuildConfig, overrides: Overrides) -> Iterator[_Listed]:
    for root in config.shapenet:
        override = overrides.source(root)
        axes, diagonal_m = _framed(root, override, SHAPENET_AXES)
        for file in find_shapenet(root, config.classes, overrides.synsets):
            number, name = file.key.split("/")
            safe = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
            size = diagonal_m or overrides.synsets[number].diagonal_m
            yield _Listed(_known(file, root, override), safe, axes, size)


def _framed(name: Path | CadFile, frame: Frame, usual: Axes) -> tuple[Axes, float]:
    try:
        axes = frame.axes(usual)
    except InputError as error:
        raise InputError(f"{getattr(name, 'path', name)}: {error}") from error
    return axes, frame.diagonal_m or 0.0


def _known(file: CadFile, root: Path, override: SourceOverride) -> CadFile:
    """Fill in what the source says of files of which nothing else is known."""
    if file.source == root.name and override.source is not None:
        file = replace(file, source=override.source)
    if file.licence != "unknown":
        return file
    return replace(
        file,
        licence=override.licence or file.licence,
        attribution=override.attribution or file.attribution,
        ship=file.ship if override.ship is None else override.ship,
    )


def _job(
    config: BuildConfig, model_id: str, class_name: str, listed: _Listed, override: FileOverride
) -> Job:
    axes, diagonal_m = _framed(listed.file, override, listed.axes)
    notes = []
    if override.turn_deg:
        notes.append(f"turned {override.turn_deg:+g} degrees about y")
    if override.class_name and override.class_name != listed.file.class_name:
        notes.append(f"moved from class {listed.file.class_name}")
    if axes != listed.axes:
        notes.append(f"read with up {axes.up}, front {axes.front}, unit {axes.unit_m:g} m")
    because = f" by --overrides ({override.reason})" if override.reason else " by --overrides"
    return Job(
        id=model_id,
        class_name=class_name,
        file=listed.file,
        index=0,
        seed=0,
        turn_deg=180.0 + override.turn_deg,
        max_extent=config.max_extent,
        axes=axes,
        # A unit that is given for the file is worth more than a size for the whole source.
        diagonal_m=diagonal_m or (0.0 if override.unit_m else listed.diagonal_m),
        notes=tuple(note + because for note in notes),
    )


def _unique(model_id: str, taken: set[str]) -> str:
    """Return the id, with a number if it is taken, and take it."""
    names = itertools.chain([model_id], (f"{model_id}-{i}" for i in itertools.count(2)))
    free = next(name for name in names if name not in taken)
    taken.add(free)
    return free
