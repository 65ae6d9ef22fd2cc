"""What each cure of int8 bought, as a page."""

from collections.abc import Mapping, Sequence
from typing import Any

from p2o_convert.cures import Outcome, front
from p2o_convert.tables import table


def page(
    outcomes: Sequence[Outcome], float_scores: Mapping[str, Any], model: str, images: int
) -> str:
    """Write the outcomes as Markdown.

    Args:
        outcomes: What each combination gave.
        float_scores: Scores of the float model.
        model: What to call it.
        images: How many all were scored on.
    """
    best = front(outcomes)
    heads = list(outcomes[0].step.heads) if outcomes else []
    rows, errors = [], []
    for outcome in outcomes:
        name, agreement = outcome.cure.name, outcome.scores["agreement"]
        rows.append(
            [
                name + (" *" if name in best else ""),
                outcome.cure.format,
                f"{outcome.bytes / 1e6:.2f}",
                f"{outcome.timing.median_ms:.1f}" if outcome.timing else "-",
                f"{outcome.timing.cpu_ms:.1f}" if outcome.timing else "-",
                _points(outcome.scores["map25"], float_scores["map25"]),
                _points(outcome.scores["map50"], float_scores["map50"]),
                _percent(agreement["found"]),
                _percent(agreement["same_exemplar"]),
            ]
        )
        errors.append([name, *(f"{outcome.step.heads[head].relative:.3f}" for head in heads)])
    header = ["combination", "format", "MB", "ms", "cpu ms", "mAP@0.25", "mAP@0.5", "found"]
    said = (
        f"{model}, float32: mAP@0.25 {_percent(float_scores['map25'])}, mAP@0.5 "
        f"{_percent(float_scores['map50'])}, on {images} validation images. mAP is the "
        "difference to that in points; found and same exemplar are shares of the float model's "
        "objects. An asterisk: no other is better in size, processor time and mAP@0.5 at once."
    )
    parts = [
        "# Cures of quantisation",
        said,
        table([*header, "same exemplar"], rows),
        "Relative L2 error of each head against float32 as trained:",
        table(["combination", *heads], errors),
    ]
    return "\n\n".join(parts) + "\n"


def _points(value: float | None, reference: float | None) -> str:
    if value is None or reference is None:
        return "-"
    return f"{100 * (value - reference):+.1f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
