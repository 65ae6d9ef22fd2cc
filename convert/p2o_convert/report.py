"""What a conversion did, as a record, as JSON and as tables for people."""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from p2o_convert.parity import Step, first_broken


@dataclass(frozen=True)
class ConversionReport:
    """Everything measured while a checkpoint became a bundle.

    Attributes:
        model: The spec's name.
        steps: Error of every head at every step.
        sizes: Bytes of each stage's file.
        operators: TFLite operators by kind, of each TFLite stage.
        scores: Figures on the validation images, of each stage scored.
        scored_images: How many validation images that was.
        calibration: Where the calibration images come from.
        parity_images: How many of them the steps were compared on.
        fingerprint: Digest of everything that went in; the same means nothing changed.
        versions: Versions of the tools.
    """

    model: str
    steps: tuple[Step, ...]
    sizes: dict[str, int]
    operators: dict[str, dict[str, int]]
    scores: dict[str, dict[str, Any]]
    scored_images: int
    calibration: str
    parity_images: int
    fingerprint: str
    versions: dict[str, str]

    def to_json(self) -> str:
        """Serialise, with the first broken step named."""
        values = asdict(self)
        broken = first_broken(self.steps)
        values["first_broken"] = None if broken is None else broken.name
        return json.dumps(_plain(values), indent=1, allow_nan=False)

    def to_markdown(self) -> str:
        """Write the report as a page of tables."""
        parts = [
            f"# Conversion of {self.model}",
            f"Errors of each step on {self.parity_images} real images "
            f"(calibration: {self.calibration}).",
            steps_table(self.steps),
            verdict(self.steps),
            "## Files",
            _table(
                ["stage", "KB", "operators"],
                [
                    [name, f"{size / 1e3:.0f}", _counts(self.operators.get(name, {}))]
                    for name, size in self.sizes.items()
                ],
            ),
        ]
        if self.scores:
            parts += [
                f"## Scores on the same {self.scored_images} validation images",
                scores_table(self.scores),
            ]
        parts += [
            "## Made with",
            ", ".join(f"{name} {version}" for name, version in self.versions.items()),
        ]
        return "\n\n".join(parts) + "\n"


def steps_table(steps: tuple[Step, ...]) -> str:
    """Show every head at every step, as a Markdown table."""
    rows = [
        [
            step.name,
            name,
            f"{head.largest:.3g}",
            f"{head.mean:.3g}",
            f"{head.relative:.3g}" + (" (!)" if name in step.broken else ""),
            f"{head.cosine:.6f}",
        ]
        for step in steps
        for name, head in step.heads.items()
    ]
    return _table(["step", "head", "largest", "mean", "relative L2", "cosine"], rows)


def scores_table(scores: dict[str, dict[str, Any]]) -> str:
    """Show the figures of all scored stages side by side, as a Markdown table."""
    stages = list(scores)
    figures = [
        key
        for key, value in scores[stages[0]].items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    rows = [[key, *(f"{scores[stage][key]:.4g}" for stage in stages)] for key in figures]
    return _table(["figure", *stages], rows)


def verdict(steps: tuple[Step, ...]) -> str:
    """Say in a line whether every step kept its limit, or which broke first and where."""
    broken = first_broken(steps)
    if broken is None:
        limits = ", ".join(f"{step.name} {step.limit:g}" for step in steps)
        return f"Every head keeps its limit (relative L2: {limits})."
    worst = broken.broken[0]
    return (
        f"{broken.name} breaks its limit first: {worst} has relative L2 error "
        f"{broken.heads[worst].relative:.3g}, allowed {broken.limit:g} "
        f"(heads over it: {', '.join(broken.broken)})."
    )


def _plain(value: Any) -> Any:
    """Replace what JSON cannot say: NaN and infinity become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _counts(operators: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in operators.items()) or "-"


def _table(header: list[str], rows: list[list[str]]) -> str:
    """Make a Markdown table whose columns also line up in a terminal."""
    cells = [header, *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
