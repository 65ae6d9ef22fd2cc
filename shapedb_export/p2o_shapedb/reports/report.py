"""The figures of a build, as records that go into build.json."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from p2o_shapedb.clustering.quality import ClusterQuality
from p2o_shapedb.database import ShapeDB


@dataclass(frozen=True)
class OracleIou:
    """Overlap of models with their nearest exemplar, both in the canonical cube, on 128^3 cells.

    Attributes:
        train: Mean over training models that are no exemplars, 0..1; None if none was measured.
        train_models: Number of these.
        val: Mean over validation models; None if none was measured.
        val_models: Number of these.
    """

    train: float | None
    train_models: int
    val: float | None
    val_models: int


@dataclass(frozen=True)
class SoftTargets:
    """Distribution of eq. 5's targets in one class.

    Attributes:
        radius: Scale of eq. 5, sides of the canonical cube.
        nearest: Median target of the nearest exemplar, models that are exemplars left out; None
            if there are no others.
        others: Mean target of the other exemplars.
        zeros: Share of the other exemplars' targets that are 0.
    """

    radius: float
    nearest: float | None
    others: float
    zeros: float


@dataclass(frozen=True)
class ClassReport:
    """Figures of one class.

    Attributes:
        name: Of the class.
        models: Number of its models.
        val_models: Number of those held out.
        symmetry: Order about y that most models have: 1, 2, 4, or 0 for a solid of revolution.
        symmetry_counts: Models per order.
        mirror_counts: Models per mirror axis.
        quality: Of the clusters.
        worst_model: Id of the training model that is farthest from its exemplar; may be empty.
        oracle: Overlap with the exemplars.
        targets: Distribution of the soft labels.
    """

    name: str
    models: int
    val_models: int
    symmetry: int
    symmetry_counts: dict[int, int]
    mirror_counts: dict[int, int]
    quality: ClusterQuality
    worst_model: str
    oracle: OracleIou
    targets: SoftTargets


@dataclass(frozen=True)
class WorkReport:
    """What the build had to do.

    Attributes:
        processed: Models processed by this build.
        cached: Models taken from the cache.
        seconds: Wall time per stage.
    """

    processed: int
    cached: int
    seconds: dict[str, float]


@dataclass(frozen=True)
class BuildReport:
    """What a build did.

    Attributes:
        database: The result.
        refused: One line per CAD file left out.
        repaired: What was mended or guessed, per model id.
        methods: Number of models per way of finding the inside.
        sdf_seconds: Median time of one signed distance grid.
        classes: Figures per class.
        work: What had to be done.
    """

    database: ShapeDB
    refused: tuple[str, ...]
    repaired: dict[str, tuple[str, ...]]
    methods: dict[str, int]
    sdf_seconds: float
    classes: tuple[ClassReport, ...]
    work: WorkReport


def report_classes(
    database: ShapeDB, quality: tuple[ClusterQuality, ...], oracle: tuple[OracleIou, ...]
) -> tuple[ClassReport, ...]:
    """Collect the figures of every class."""
    reports = []
    for class_id, name in enumerate(database.classes):
        rows = [i for i, model in enumerate(database.models) if model.class_name == name]
        models = [database.models[i] for i in rows]
        worst = quality[class_id].worst_model
        reports.append(
            ClassReport(
                name=name,
                models=len(models),
                val_models=sum(model.split == "val" for model in models),
                symmetry=database.class_symmetry[class_id],
                symmetry_counts=dict(sorted(Counter(m.symmetry for m in models).items())),
                mirror_counts=dict(sorted(Counter(m.mirror_axis for m in models).items())),
                quality=quality[class_id],
                worst_model=models[worst].id if worst >= 0 else "",
                oracle=oracle[class_id],
                targets=soft_targets(database, class_id),
            )
        )
    return tuple(reports)


def soft_targets(database: ShapeDB, class_id: int) -> SoftTargets:
    """Describe the distribution of one class's soft labels."""
    name = database.classes[class_id]
    rows = np.array([i for i, m in enumerate(database.models) if m.class_name == name], int)
    labels = np.sort(database.soft_labels[rows], axis=1)
    free = ~np.isin(rows, database.exemplar_model)
    others = labels[:, :-1]
    return SoftTargets(
        radius=float(database.soft_radius[class_id]),
        nearest=float(np.median(labels[free, -1])) if free.any() else None,
        others=float(others.mean()) if others.size else 0.0,
        zeros=float((others == 0).mean()) if others.size else 0.0,
    )
