"""A filled table as Markdown, ours beside the paper's, and as JSON with all that made it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p2o_shapedb.command import atomic_path
from p2o_train.experiments.tables import Column, Row, Table


@dataclass(frozen=True)
class FilledRow:
    """One row with its figures.

    Attributes:
        row: What it stands for.
        report: `EvaluationReport.to_dict`.
        facts: Commands, times and digests behind it.
    """

    row: Row
    report: Mapping[str, Any]
    facts: Mapping[str, object]

    def values(self) -> list[float | None]:
        """Return the columns' values; None for what the report does not know."""
        return [look_up(self.report, path) for path in self.row.figures]


def look_up(report: Mapping[str, Any], path: str) -> float | None:
    """Follow keys and list indices joined by dots; None where they lead nowhere."""
    value: Any = report
    for key in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(key)
        elif isinstance(value, Sequence) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return float(value) if isinstance(value, int | float) else None


def write_table(
    table: Table, rows: Sequence[FilledRow], facts: Mapping[str, object], folder: Path
) -> None:
    """Write table.md and table.json into a folder; those of an earlier call are replaced."""
    values = {
        "table": table.number,
        "title": table.title,
        **facts,
        "rows": [
            {
                "label": filled.row.label,
                "ours": _named(table.columns, filled.values()),
                "paper": _named(table.columns, filled.row.paper),
                **filled.facts,
            }
            for filled in rows
        ],
    }
    with atomic_path(folder / "table.json", overwrite=True) as path:
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    with atomic_path(folder / "table.md", overwrite=True) as path:
        path.write_text(to_markdown(table, rows, facts), encoding="utf-8")


def to_markdown(table: Table, rows: Sequence[FilledRow], facts: Mapping[str, object]) -> str:
    """Return the table: each value with the paper's in brackets, and what made it below."""
    lines = [
        f"## Table {table.number}: {table.title}",
        "",
        f"| ours (paper) | {' | '.join(column.title for column in table.columns)} |",
        "|---" + "|---:" * len(table.columns) + "|",
    ]
    for filled in rows:
        cells = map(_cell, table.columns, filled.values(), filled.row.paper)
        lines.append(f"| {filled.row.label} | {' | '.join(cells)} |")
    if len(rows) > 1 and len({filled.row.arm for filled in rows}) > 1:
        lines += ["", *_differences(table, rows)]
    if table.note:
        lines += ["", table.note]
    lines += ["", f"- command: `{facts['command']}`", f"- machine: {facts['machine']}"]
    if all(filled.facts["steps"] for filled in rows):
        lines.append(f"- seed {facts['seed']}, the same batches in every arm; from {_start(facts)}")
    for filled in rows:
        made = filled.facts
        if not made["steps"]:
            lines.append(
                f"- {filled.row.label}: {made['model']}, {made['images']} images measured in "
                f"{_minutes(made['evaluation_minutes'])}"
            )
            continue
        lines.append(
            f"- {filled.row.label}: {made['steps']} steps in {_minutes(made['training_minutes'])}, "
            f"{made['images']} images measured in {_minutes(made['evaluation_minutes'])}"
        )
    return "\n".join(lines) + "\n"


def _start(facts: Mapping[str, object]) -> str:
    if not facts["init"]:
        return "ImageNet weights or scratch"
    frozen = facts.get("frozen")
    how = f"only the table's heads learned, on its features of {frozen} augmented images"
    return f"the weights of {facts['init']}" + (f"; {how}" if frozen else "")


def _minutes(value: object) -> str:
    assert isinstance(value, float)
    return f"{value:.1f} min"


def _differences(table: Table, rows: Sequence[FilledRow]) -> list[str]:
    """Say what the other rows change against the first, ours and the paper's."""
    first, lines = rows[0], []
    for filled in rows[1:]:
        parts = []
        pairs = zip(first.values(), filled.values(), strict=True)
        papers = zip(first.row.paper, filled.row.paper, strict=True)
        for column, ours, paper in zip(table.columns, pairs, papers, strict=True):
            change = _change(column, *ours, 100.0)
            theirs = _change(column, *paper, 1.0)
            parts.append(f"{column.title} {change}" + (f" ({theirs})" if theirs != "-" else ""))
        lines.append(f"- {filled.row.label} against {first.row.label}: {', '.join(parts)}")
    return lines


def _change(column: Column, before: float | None, after: float | None, unit: float) -> str:
    """Return the change of a share in points, of a number in percent."""
    if before is None or after is None:
        return "-"
    if column.share:
        return f"{unit * (after - before):+.1f}"
    return f"{100 * (after / before - 1):+.1f} %" if before else "-"


def _cell(column: Column, ours: float | None, paper: float | None) -> str:
    own = "-" if ours is None else f"{100 * ours:.1f}" if column.share else f"{ours:.6g}"
    return own if paper is None else f"{own} ({paper:g})"


def _named(columns: Sequence[Column], values: Sequence[float | None]) -> dict[str, float | None]:
    return {column.title: value for column, value in zip(columns, values, strict=True)}
