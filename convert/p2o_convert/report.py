"""What a conversion did, as a record, as JSON and as tables for people."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from p2o_convert.delegates import DELEGATES, Fallback, Readiness
from p2o_convert.layers import LayerError
from p2o_convert.parity import HeadError, Step, first_broken
from p2o_convert.tables import table
from points2objects.errors import InputError

MAP_DROP = 0.01
"""An integer format should lose no more mAP@0.5 than this."""
SAME_EXEMPLAR = 0.95
"""It should pick the same exemplar for at least this share of the objects both see."""

WORST_LAYERS = 8
CONSTANT_FIGURES = ("images", "score_threshold")


@dataclass(frozen=True)
class ConversionReport:
    """Everything measured while a checkpoint became a bundle.

    Attributes:
        model: The spec's name.
        shipped: Format in the bundle.
        options: How integer formats were made.
        steps: Error of every head at every step.
        sizes: Bytes of each stage's file.
        operators: TFLite operators by kind, of each format.
        ends: How a picture goes into each format, and what comes out.
        scores: Figures on the validation images, of each format scored; the first is what the
            others are compared with.
        scored_images: How many validation images that was.
        calibration: Where the calibration images come from.
        parity_images: How many of them the steps were compared on.
        layers: Error of each layer of `ranked`, in the graph's order.
        ranked: Format whose layers were compared with float32; "" for none.
        delegates: What accelerators make of each format.
        fingerprint: Digest of everything that went in; the same means nothing changed.
        versions: Versions of the tools.
    """

    model: str
    shipped: str
    options: Mapping[str, Any]
    steps: tuple[Step, ...]
    sizes: Mapping[str, int]
    operators: Mapping[str, dict[str, int]]
    ends: Mapping[str, str]
    scores: Mapping[str, dict[str, Any]]
    scored_images: int
    calibration: str
    parity_images: int
    layers: tuple[LayerError, ...]
    ranked: str
    delegates: Mapping[str, Readiness]
    fingerprint: str
    versions: Mapping[str, str]

    def to_json(self) -> str:
        """Serialise, with the first broken step and the bars named."""
        values = asdict(self)
        broken = first_broken(self.steps)
        values["first_broken"] = None if broken is None else broken.name
        values["bars"] = bars(self.scores)
        return json.dumps(plain(values), indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "ConversionReport":
        """Read what `to_json` wrote; reports from before `ends` have none.

        Raises:
            InputError: It is no report of a conversion.
        """
        try:
            values = json.loads(text)
            known = {field.name: values.get(field.name, {}) for field in fields(cls)}
            known["steps"] = tuple(
                Step(s["name"], s["limit"], {n: _head_error(h) for n, h in s["heads"].items()})
                for s in values["steps"]
            )
            known["layers"] = tuple(LayerError(**layer) for layer in values["layers"])
            known["delegates"] = {
                name: Readiness(**ready | {"fallbacks": tuple(map(_fallback, ready["fallbacks"]))})
                for name, ready in values["delegates"].items()
            }
            return cls(**known)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"not the report of a conversion ({error}); convert the run again"
            ) from error

    def to_markdown(self) -> str:
        """Write the report as a page of tables."""
        options = ", ".join(f"{name} {_said(value)}" for name, value in self.options.items())
        parts = [
            f"# Conversion of {self.model}",
            f"The bundle holds {self.shipped}. Integer formats: {options}.",
            f"Errors of each step on {self.parity_images} real images "
            f"(calibration: {self.calibration}).",
            steps_table(self.steps),
            verdict(self.steps),
            "## Files",
            files_table(self.sizes, self.operators),
            ends_table(self.ends),
        ]
        if self.scores:
            parts += [
                f"## Scores on the same {self.scored_images} validation images",
                scores_table(self.scores),
                "\n".join(f"- {line}" for line in bars(self.scores)),
            ]
        if self.layers:
            parts += [
                f"## Layers of {self.ranked} that lose most",
                "By what the outputs lose when only this layer's weights are rounded (`heads`), "
                "and by what the operator adds by rounding its weights and output (`own`); "
                "`total` is what its output is off by with all before it quantised too (relative "
                "L2). All layers are in report.json.",
                layers_table(self.layers, lambda layer: layer.heads or 0.0),
                layers_table(self.layers, lambda layer: layer.own),
            ]
        parts += [
            "## Accelerators",
            delegates_table(self.delegates),
            _fallbacks(self.delegates),
            "From the delegates' own rules for these operators (`p2o_convert.delegates` names the "
            "sources). The compatibility analyser of current TensorFlow calls any model "
            "compatible, so its word is not given here; only a phone can tell the speed.",
            "## Made with",
            ", ".join(f"{name} {version}" for name, version in self.versions.items()),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"


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
    return table(["step", "head", "largest", "mean", "relative L2", "cosine"], rows)


def files_table(sizes: Mapping[str, int], operators: Mapping[str, dict[str, int]]) -> str:
    """Show size and operators of each stage's file."""
    rows = [
        [
            name,
            f"{size / 1e3:.0f}",
            ", ".join(f"{count} {kind}" for kind, count in operators.get(name, {}).items()) or "-",
        ]
        for name, size in sizes.items()
    ]
    return table(["stage", "KB", "operators"], rows)


def ends_table(ends: Mapping[str, str]) -> str:
    """Show how a picture goes into each format and what comes out; "" if nothing is known."""
    return (
        table(["format", "input and outputs"], [list(row) for row in ends.items()]) if ends else ""
    )


def scores_table(scores: Mapping[str, dict[str, Any]]) -> str:
    """Show the figures of all scored stages side by side, as a Markdown table."""
    stages = {name: dict(flat_figures(values)) for name, values in scores.items()}
    figures = list(dict.fromkeys(figure for values in stages.values() for figure in values))
    rows = [
        [
            figure,
            *(f"{values[figure]:.4g}" if figure in values else "-" for values in stages.values()),
        ]
        for figure in figures
        if figure not in CONSTANT_FIGURES
    ]
    return table(["figure", *stages], rows)


def flat_figures(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """List every number of an evaluation at any depth, with its path; lists are left out."""
    found: list[tuple[str, float]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            found += flat_figures(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append((prefix + key, float(value)))
    return found


def bars(scores: Mapping[str, dict[str, Any]]) -> list[str]:
    """Say of each format how it compares with the first, and whether it keeps the bars."""
    lines = []
    names = list(scores)
    for name in names[1:]:
        drop = _number(scores[names[0]]["map50"]) - _number(scores[name]["map50"])
        same = _number(scores[name]["agreement"]["same_exemplar"])
        found = _number(scores[name]["agreement"]["found"])
        lines.append(
            f"{name} against {names[0]}: mAP@0.5 {-100 * drop:+.1f} points "
            f"({_kept(drop <= MAP_DROP)}, at most -{100 * MAP_DROP:.0f}), "
            f"{100 * found:.1f} % of its objects found, the same exemplar for {100 * same:.1f} % "
            f"({_kept(same >= SAME_EXEMPLAR)}, at least {100 * SAME_EXEMPLAR:.0f})"
        )
    return lines


def layers_table(layers: Sequence[LayerError], by: Callable[[LayerError], float]) -> str:
    """Show the worst layers, worst first."""
    rows = [
        [
            layer.layer,
            layer.kind,
            "-" if layer.heads is None else f"{layer.heads:.3g}",
            f"{layer.own:.3g}",
            f"{layer.total:.3g}",
            f"{layer.step:.3g}",
        ]
        for layer in sorted(layers, key=by, reverse=True)[:WORST_LAYERS]
    ]
    return table(["layer", "operator", "heads", "own", "total", "step"], rows)


def delegates_table(delegates: Mapping[str, Readiness]) -> str:
    """Show how many operators of each format run on which accelerator."""
    rows = []
    for name, ready in delegates.items():
        left = [
            sum(fallback.delegate == delegate.name for fallback in ready.fallbacks)
            for delegate in DELEGATES
        ]
        taken = [ready.xnnpack, *(ready.operators - count for count in left)]
        rows.append([name, str(ready.operators), *map(str, taken)])
    names = [delegate.name for delegate in DELEGATES]
    return table(["format", "operators", "XNNPACK (counted here)", *names], rows)


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


def _fallbacks(delegates: Mapping[str, Readiness]) -> str:
    lines = [
        f"- {name}: {fallback.delegate} leaves {fallback.layer} ({fallback.kind}) to the CPU: "
        f"{fallback.reason}"
        for name, ready in delegates.items()
        for fallback in ready.fallbacks
    ]
    shown = lines[:WORST_LAYERS]
    if len(lines) > len(shown):
        shown.append(f"- and {len(lines) - len(shown)} more, all in report.json")
    return "\n".join(shown)


def _fallback(values: dict[str, str]) -> Fallback:
    return Fallback(**values)


def _head_error(values: dict[str, float | None]) -> HeadError:
    return HeadError(**{name: _number(value) for name, value in values.items()})


def write_report(report: ConversionReport, folder: Path) -> None:
    """Write report.json and report.md."""
    (folder / "report.json").write_text(report.to_json() + "\n", encoding="utf-8")
    (folder / "report.md").write_text(report.to_markdown(), encoding="utf-8")


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _kept(kept: bool) -> str:
    return "kept" if kept else "missed"


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "none"
    return str(value)


def plain(value: Any) -> Any:
    """Replace what JSON cannot say: NaN and infinity become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value
