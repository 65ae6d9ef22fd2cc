"""Say what a build made: a few lines for the terminal, a page for the folder."""

from collections import Counter
from collections.abc import Sequence

from p2o_shapedb.reports.report import BuildReport, ClassReport

SYMMETRY_NAMES = {0: "continuous", 1: "none", 2: "2-fold", 4: "4-fold"}
_MOST_SHOWN, _MOST_LINES = 30, 200


def describe(report: BuildReport) -> str:
    """Return a table per class, and what happened to files that were not in order."""
    lines = [
        f"{'class':8} {'models':>6} {'val':>4} {'nearest':>8} {'others':>7} {'radius':>7} "
        f"{'oracle':>7}  symmetry"
    ]
    for one in report.classes:
        overlap = one.oracle.val if one.oracle.val is not None else one.oracle.train
        lines.append(
            f"{one.name:8} {one.models:6} {one.val_models:4} {_number(one.targets.nearest, 2):>8} "
            f"{one.targets.others:7.3f} {one.targets.radius:7.3f} {_number(overlap, 3):>7}  "
            f"{SYMMETRY_NAMES[one.symmetry]}"
        )
    lines.append(
        "nearest: median soft label of the nearest exemplar (models that are none themselves); "
        "others: mean of the rest; oracle: IoU with the nearest exemplar"
    )
    ways = ", ".join(f"{count} {way}" for way, count in sorted(report.methods.items()))
    lines.append(f"inside found by: {ways}; median {report.sdf_seconds:.2f} s per distance grid")
    lines += [f"left out {line}" for line in report.refused[:_MOST_SHOWN]]
    if len(report.refused) > _MOST_SHOWN:
        lines.append(f"left out {len(report.refused) - _MOST_SHOWN} more")
    lines.append(
        f"{len(report.repaired)} models repaired, {len(report.refused)} files left out (report.md "
        f"says why); {report.work.cached} of {len(report.database.models)} models from the cache"
    )
    return "\n".join(lines)


def markdown(report: BuildReport) -> str:
    """Return the page `report.md`."""
    database = report.database
    parts = [
        f"# Shape database {database.digest[:8]}",
        f"{len(database.models)} models, {len(database.classes)} classes, "
        f"{database.exemplars_per_class} exemplars each. Distances are root mean squares over the "
        "32^3 signed distances, in sides of the canonical cube.",
        _models(report.classes),
        "## Clusters",
        _clusters(report.classes),
        "Sizes count training models, the exemplar included. Oracle: mean intersection over union, "
        "on 128^3 cells of the canonical cube, of models that are no exemplars with their nearest "
        "exemplar; in brackets how many were measured. No choice of exemplars can do better.",
        "## Soft labels (eq. 5)",
        _labels(report.classes),
        "![distribution of the targets](soft_labels.png)",
        "## Repaired",
        _repaired(report.repaired),
        "## Left out",
        _list(report.refused) if report.refused else "Nothing.",
    ]
    return "\n\n".join(parts) + "\n"


def _models(classes: Sequence[ClassReport]) -> str:
    rows = [
        [
            one.name,
            str(one.models),
            str(one.val_models),
            SYMMETRY_NAMES[one.symmetry],
            ", ".join(f"{SYMMETRY_NAMES[o]} {n}" for o, n in one.symmetry_counts.items()),
        ]
        for one in classes
    ]
    head = ["class", "models", "validation", "symmetry about y", "models by symmetry"]
    return _table(head, rows)


def _clusters(classes: Sequence[ClassReport]) -> str:
    rows = []
    for one in classes:
        quality, sizes = one.quality, sorted(one.quality.cluster_sizes)
        worst = f" `{one.worst_model}`" if one.worst_model else ""
        rows.append(
            [
                one.name,
                f"{sizes[0]} / {sizes[len(sizes) // 2]} / {sizes[-1]}",
                _number(quality.silhouette, 3),
                _number(quality.mean_distance, 4),
                _number(quality.worst_distance, 4) + worst,
                _number(quality.val_mean_distance, 4),
                f"{_number(one.oracle.train, 3)} ({one.oracle.train_models})",
                f"{_number(one.oracle.val, 3)} ({one.oracle.val_models})",
            ]
        )
    head = [
        *("class", "size min / median / max", "silhouette", "mean distance", "worst distance"),
        *("mean, validation", "oracle, training", "oracle, validation"),
    ]
    return _table(head, rows)


def _labels(classes: Sequence[ClassReport]) -> str:
    rows = [
        [
            one.name,
            f"{one.targets.radius:.4f}",
            _number(one.targets.nearest, 2),
            f"{one.targets.others:.3f}",
            f"{one.targets.zeros:.0%}",
        ]
        for one in classes
    ]
    head = ["class", "radius", "nearest, median", "others, mean", "others that are 0"]
    return _table(head, rows)


def _repaired(repaired: dict[str, tuple[str, ...]]) -> str:
    if not repaired:
        return "Nothing."
    # "dropped 12 triangles" and "dropped 3 triangles" are one kind.
    kinds = Counter(
        "".join("#" if c.isdigit() else c for c in phrase).replace("##", "#")
        for phrases in repaired.values()
        for phrase in phrases
    )
    counted = [f"{count} x {kind}" for kind, count in kinds.most_common(20)]
    lines = [f"`{name}`: {'; '.join(phrases)}" for name, phrases in repaired.items()]
    return _list(counted) + "\n\nBy model:\n\n" + _list(lines)


def _list(lines: Sequence[str]) -> str:
    shown = [f"- {line}" for line in lines[:_MOST_LINES]]
    if len(lines) > _MOST_LINES:
        shown.append(f"- and {len(lines) - _MOST_LINES} more: see build.json")
    return "\n".join(shown)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *rows))


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
