"""Everything that keeps a build from having its exemplars, said at once and early."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from p2o_shapedb.config import BuildConfig
from p2o_shapedb.process import Job
from p2o_shapedb.splits import assign_splits
from points2objects.errors import InputError

log = logging.getLogger(__name__)

MOST_REASONS = 3
"""Of a class's files that are left out, so many are named."""


@dataclass(frozen=True)
class ClassCount:
    """How many models a class has.

    Attributes:
        name: The class.
        models: All of them.
        train: Those that are not held out.
        eligible: Those of `train` that may become exemplars.
    """

    name: str
    models: int
    train: int
    eligible: int


def count_models(config: BuildConfig, jobs: Sequence[Job]) -> tuple[ClassCount, ...]:
    """Count the models of each class, those to teach and those to choose exemplars from."""
    splits = assign_splits(list(jobs), config)
    counts = []
    for name in config.classes:
        theirs = [i for i, job in enumerate(jobs) if job.class_name == name]
        train = [i for i in theirs if splits[i] == "train"]
        eligible = [i for i in train if config.exemplars == "any" or jobs[i].ships]
        counts.append(ClassCount(name, len(theirs), len(train), len(eligible)))
    return tuple(counts)


def refuse_too_few(
    config: BuildConfig, jobs: Sequence[Job], refused: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Stop unless every class has enough models for its exemplars; name all that have not.

    Args:
        config: Options of the build.
        jobs: Models of all classes.
        refused: Why files of each class were left out, once that is known.

    Raises:
        InputError: Some classes have too few.
    """
    counts = count_models(config, jobs)
    short = [count for count in counts if count.eligible < config.exemplars_per_class]
    if not short:
        bare = [count.name for count in counts if count.models == count.train]
        if bare and refused is not None and config.val_share and config.held_out is None:
            log.warning(
                "%s: no model is held out for validation; a class of --exemplars-per-class + 2 "
                "models or more has one",
                ", ".join(bare),
            )
        return
    told = "; ".join(_told(count, config, (refused or {}).get(count.name, ())) for count in short)
    wanted = f"--exemplars-per-class {config.exemplars_per_class} needs as many"
    raise InputError(f"{wanted}: {told}. Ways out: {_ways_out(config, jobs, short)}")


def _told(count: ClassCount, config: BuildConfig, refused: Sequence[str]) -> str:
    """Say what a class lacks."""
    lost = f" ({_count(len(refused), 'file')} left out: {_first(refused)})" if refused else ""
    if not count.models:
        like = _spelled_otherwise(count.name, config)
        there = f", but there is {like}: rename it to {count.name}/" if like else ""
        missing = f"give --cad with a folder {count.name}/" if not refused else "none can be read"
        return f"class {count.name} has no models{lost}; {missing}{there}"
    if count.eligible == count.train:
        return f"class {count.name} has {_count(count.train, 'training model')}{lost}"
    return (
        f"class {count.name} has {_count(count.train, 'training model')}, of which "
        f"{count.eligible} have a licence to become exemplars{lost}"
    )


def _ways_out(config: BuildConfig, jobs: Sequence[Job], short: list[ClassCount]) -> str:
    """Say what would let the build go on."""
    ways = []
    unlicensed = any(count.eligible < count.train for count in short)
    if unlicensed:
        ways.append("for your own use add --exemplars any, or name licences in index.json")
    best = replace(config, exemplars="any" if unlicensed else config.exemplars)
    most = _most_exemplars(best, jobs)
    if 0 < most < config.exemplars_per_class:
        ways.append(f"{'then ' if unlicensed else ''}use --exemplars-per-class {most} or fewer")
    made = [count.name for count in short if config.procedural_of(count.name) > 0]
    more = f" or more --procedural for {', '.join(made)}" if made else ""
    return "; ".join([*ways, f"or give more --cad{more}"]).removeprefix("or ")


def _most_exemplars(config: BuildConfig, jobs: Sequence[Job]) -> int:
    """Find the most exemplars per class that leave each class a model to validate with."""
    most = min(count.eligible for count in count_models(config, jobs))
    if not config.val_share or config.held_out is not None:
        return most
    for number in range(min(most, config.exemplars_per_class), 0, -1):
        counts = count_models(replace(config, exemplars_per_class=number), jobs)
        if all(number <= count.eligible and count.train < count.models for count in counts):
            return number
    return most


def _first(reasons: Sequence[str]) -> str:
    more = len(reasons) - MOST_REASONS
    return "; ".join([*reasons[:MOST_REASONS], *([f"and {more} more"] if more > 0 else [])])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _spelled_otherwise(name: str, config: BuildConfig) -> str:
    """Find folders that differ from a class's name in case, plural or punctuation only."""
    found = [
        path
        for root in config.cad
        for path in sorted(root.iterdir())
        if path.is_dir() and path.name != name and _plain(path.name) == _plain(name)
    ]
    return " and ".join(f"{path}/" for path in found)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold()).removesuffix("s")
