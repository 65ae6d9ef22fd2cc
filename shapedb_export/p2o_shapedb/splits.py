"""Decide which models teach and which are held out for validation."""

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

from p2o_shapedb.config import BuildConfig
from p2o_shapedb.process import Job
from points2objects.errors import InputError

log = logging.getLogger(__name__)


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
