"""Say in a few lines what a build made."""

from collections import Counter

import numpy as np

from p2o_shapedb.build import BuildReport


def describe(report: BuildReport) -> str:
    """Return a table per class, and one line per file left out."""
    database = report.database
    lines = [f"left out {line}" for line in report.refused]
    lines.append(
        f"{'class':8} {'models':>6} {'val':>4} {'nearest':>8} {'others':>7} {'radius':>7}  symmetry"
    )
    for class_id, class_name in enumerate(database.classes):
        rows = [i for i, model in enumerate(database.models) if model.class_name == class_name]
        models = [database.models[i] for i in rows]
        labels = np.sort(database.soft_labels[rows], axis=1)
        exemplars = set(database.exemplar_model.tolist())
        rest = [n for n, i in enumerate(rows) if i not in exemplars]
        nearest = float(np.median(labels[rest, -1])) if rest else 1.0
        others = float(labels[:, :-1].mean()) if labels.shape[1] > 1 else 0.0
        orders = Counter(model.symmetry for model in models)
        mirrors = Counter(model.mirror_axis for model in models)
        lines.append(
            f"{class_name:8} {len(models):6} {sum(m.split == 'val' for m in models):4} "
            f"{nearest:8.2f} {others:7.3f} {database.soft_radius[class_id]:7.3f}  "
            f"order {dict(sorted(orders.items()))}, mirror {dict(sorted(mirrors.items()))}"
        )
    lines.append(
        "nearest: median soft label of the nearest exemplar (models that are none themselves); "
        "others: mean of the rest"
    )
    ways = ", ".join(f"{count} {way}" for way, count in sorted(report.methods.items()))
    lines.append(f"inside found by: {ways}; median {report.sdf_seconds:.2f} s per distance grid")
    return "\n".join(lines)
