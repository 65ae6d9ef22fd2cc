"""Turn CAD files and generators into a shape database, one cached model at a time."""

import contextlib
import json
import logging
import math
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from p2o_shapedb.assemble import Assembled, Made, assemble
from p2o_shapedb.cache import Cache, Refusal, cache_key
from p2o_shapedb.cad.overrides import Overrides, read_overrides
from p2o_shapedb.command import atomic_path, refuse_existing, writing
from p2o_shapedb.config import BuildConfig
from p2o_shapedb.database import SOURCES, ShapeDB, mesh_path
from p2o_shapedb.obstacles import refuse_too_few
from p2o_shapedb.process import Job, process_model
from p2o_shapedb.progress import Progress
from p2o_shapedb.reports.oracle_report import measure_oracle
from p2o_shapedb.reports.report import BuildReport, ClassReport, WorkReport, report_classes
from p2o_shapedb.sizes import size_warning, usual_size
from p2o_shapedb.sources import Found, find_jobs
from p2o_shapedb.workers import Limits, run_in_workers
from points2objects.errors import InputError
from points2objects.files import sha256

log = logging.getLogger(__name__)


def build(config: BuildConfig) -> BuildReport:
    """Make a database and write it to `config.out`.

    What is made of each model is kept in `config.cache_folder`: an interrupted build goes on where
    it stopped, and the next build processes only what changed.

    Raises:
        InputError: No CAD, too few models of a class, or a file that `strict` does not accept.
    """
    refuse_existing(config.out, config.overwrite)
    clock = _Clock()
    overrides = read_overrides(*config.overrides)
    found = find_jobs(config, overrides)
    refuse_too_few(config, found.jobs, found.unused(config.classes))
    cache = Cache(config.cache_folder)
    with writing(cache.root):
        cache.root.mkdir(parents=True, exist_ok=True)
    with clock.stage("models"):
        processed = _process(found, cache, config)
        processed = replace(processed, odd=_odd_sizes(processed.made, overrides))
    refuse_too_few(config, [item.job for item in processed.made], processed.lost)
    with clock.stage("clusters"), Progress("clusters"), writing(cache.root):
        assembled = assemble(config, processed.made, cache)
    with clock.stage("oracle"):
        oracle = measure_oracle(assembled.database, processed.made, cache, config)
    classes = report_classes(assembled.database, assembled.quality, oracle)
    refused = (*map(_printable, found.left_out), *processed.refused)
    with clock.stage("writing"), atomic_path(config.out, config.overwrite) as folder:
        report = _report(assembled, processed, refused, classes, clock.seconds)
        _write(folder, report, processed.made, cache, config)
    database = ShapeDB.load(config.out)
    return _report(
        Assembled(database, assembled.quality), processed, refused, classes, clock.seconds
    )


@dataclass(frozen=True)
class _Processed:
    """Models, why others could not be used, the same by class, and how many are new."""

    made: tuple[Made, ...]
    refused: tuple[str, ...]
    lost: dict[str, list[str]]
    fresh: int
    odd: Mapping[str, str] = field(default_factory=dict)


def _odd_sizes(made: tuple[Made, ...], overrides: Overrides) -> dict[str, str]:
    """Warn of models whose size is far from what is usual in their class; return why, by id."""
    found: dict[str, str] = {}
    for class_name in sorted({item.job.class_name for item in made}):
        own = [item for item in made if item.job.class_name == class_name]
        diagonals = [math.hypot(*item.facts.extent_m.tolist()) for item in own]
        usual = usual_size(np.array(diagonals), overrides.usual_diagonal(class_name))
        for item, diagonal in zip(own, diagonals, strict=True):
            line = size_warning(diagonal, usual)
            if line:
                found[item.job.id] = line
                log.warning("%s: %s", _printable(item.job.name), line)
    return found


def _process(found: Found, cache: Cache, config: BuildConfig) -> _Processed:
    """Make what the cache lacks, and read everything."""
    jobs = found.jobs
    with ThreadPoolExecutor(max(config.workers, 1)) as threads:
        keys = list(threads.map(_key, jobs))
    refused = {
        i: f"{jobs[i].name}: cannot read it as a file" for i, key in enumerate(keys) if not key
    }
    refused |= {
        i: refusal.reason
        for i, key in enumerate(keys)
        if key
        and (refusal := cache.refusal(key))
        and not 0 < refusal.time_limit_s < config.time_limit_s
        and not cache.holds(key)
    }
    missing = [i for i, key in enumerate(keys) if i not in refused and not cache.holds(key)]
    log.info("%d of %d models are in the cache", len(jobs) - len(missing), len(jobs))
    refused |= _make([(jobs[i], cache, keys[i]) for i in missing], missing, config)
    refused = {i: _printable(reason) for i, reason in refused.items()}
    if refused and config.strict:
        raise InputError(refused[min(refused)])
    made = tuple(
        Made(job, key, cache.facts(key))
        for i, (job, key) in enumerate(zip(jobs, keys, strict=True))
        if i not in refused
    )
    reasons = tuple(refused[i] for i in sorted(refused))
    lost = {
        name: [refused[i] for i in sorted(refused) if jobs[i].class_name == name]
        for name in config.classes
    }
    return _Processed(made, reasons, lost, sum(i not in refused for i in missing))


def _printable(line: str) -> str:
    """Return a line with the bytes of a file's name that are no text replaced."""
    return line.encode("utf-8", "replace").decode("utf-8")


def _key(job: Job) -> str:
    """Return a model's key in the cache, or nothing if its file is none or cannot be read."""
    # A pipe under the name of a mesh would be waited for.
    if job.file and not job.file.path.is_file():
        return ""
    try:
        return cache_key(job)
    except OSError as error:
        log.warning("%s", error)
        return ""


_Task = tuple[Job, Cache, str]


def _make(tasks: list[_Task], places: list[int], config: BuildConfig) -> dict[int, str]:
    """Process models; return why some could not be, by place."""
    refused: dict[int, str] = {}
    limits = Limits(config.workers, config.time_limit_s, config.worker_memory_gb)
    with (
        contextlib.closing(run_in_workers(process_task, tasks, limits)) as outcomes,
        Progress("models", "model", len(tasks)) as shown,
    ):
        for outcome in outcomes:
            shown.update()
            job, cache, key = tasks[outcome.index]
            done = outcome.value or TaskEnd()
            if done.trouble:
                raise InputError(done.trouble)
            reason = done.refusal
            if outcome.failure:
                reason = f"{job.name}: {outcome.failure}"
                log.warning("%s", reason)
                if outcome.timed_out:
                    with writing(cache.root):
                        cache.refuse(key, Refusal(reason, config.time_limit_s))
            if reason:
                refused[places[outcome.index]] = reason
                if config.strict:
                    raise InputError(reason)
    return refused


@dataclass(frozen=True)
class TaskEnd:
    """How the processing of one model ended.

    Attributes:
        refusal: Why it cannot be used; empty if it can.
        trouble: What kept its record from being stored, which is no fault of the model's.
    """

    refusal: str = ""
    trouble: str = ""


def process_task(task: _Task) -> TaskEnd:
    """Make one model's record in the cache, or note there why not."""
    job, cache, key = task
    record, refusal = None, ""
    try:
        record = process_model(job)
    except InputError as error:
        refusal = str(error)
    try:
        with writing(cache.root):
            if record is None:
                cache.refuse(key, Refusal(refusal))
            else:
                cache.put(key, record)
    except InputError as error:
        return TaskEnd(trouble=str(error))
    return TaskEnd(refusal=refusal)


def _report(
    assembled: Assembled,
    processed: _Processed,
    refused: tuple[str, ...],
    classes: tuple[ClassReport, ...],
    seconds: dict[str, float],
) -> BuildReport:
    facts = [item.facts for item in processed.made]
    return BuildReport(
        database=assembled.database,
        refused=refused,
        repaired=_repaired(processed),
        methods=dict(Counter(fact.method for fact in facts)),
        sdf_seconds=float(np.median([fact.seconds for fact in facts])),
        classes=classes,
        work=WorkReport(processed.fresh, len(facts) - processed.fresh, dict(seconds)),
    )


def _repaired(processed: _Processed) -> dict[str, tuple[str, ...]]:
    noted = {
        m.job.id: (*m.facts.repairs, *filter(None, [processed.odd.get(m.job.id)]))
        for m in processed.made
    }
    return {name: phrases for name, phrases in noted.items() if phrases}


def _write(
    folder: Path, report: BuildReport, made: tuple[Made, ...], cache: Cache, config: BuildConfig
) -> None:
    from p2o_shapedb.reports.contact_sheet import write_contact_sheets
    from p2o_shapedb.reports.soft_plot import write_soft_plot
    from p2o_shapedb.reports.summary import markdown

    report.database.save(folder)
    for item in made:
        target = mesh_path(folder, item.job.id)
        target.parent.mkdir(parents=True, exist_ok=True)
        _link(cache.mesh_file(item.key), target)
    sources = {m.job.id: sha256(m.job.file.path.read_bytes()) for m in made if m.job.file}
    (folder / SOURCES).write_text(json.dumps(sources, indent=1) + "\n", "utf-8")
    told = {
        "config": json.loads(json.dumps(asdict(config), default=str)),
        "refused": report.refused,
        "repaired": report.repaired,
        "methods": report.methods,
        "classes": [asdict(one) for one in report.classes],
        "work": asdict(report.work),
    }
    (folder / "build.json").write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    (folder / "report.md").write_text(markdown(report), "utf-8")
    write_soft_plot(report.database, folder / "soft_labels.png")
    if config.contact_sheet:
        write_contact_sheets(folder, folder / "contact_sheet")


def _link(source: Path, target: Path) -> None:
    """Let two names share a file where the file system can, else copy it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


class _Clock:
    """Wall time per stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage."""
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)
