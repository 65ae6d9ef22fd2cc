"""Decide which models teach and which are held out for validation."""

import hashlib
import logging
from pathlib import Path

from p2o_shapedb.config import BuildConfig
from p2o_shapedb.process import Job
from points2objects.errors import InputError

log = logging.getLogger(__name__)


def assign_splits(jobs: list[Job], config: BuildConfig) -> list[str]:
    """Assign each model to "train" or "val".

    `config.held_out` decides if there is one, otherwise a hash of the model's id; every class with
    a spare model then gets a val one.

    Raises:
        InputError: The file is no text, or names no model of the build.
    """
    if config.held_out is not None and jobs:
        return _listed_splits(jobs, config.held_out)
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
