"""The benchmark as a page of tables."""

from p2o_convert.benchmark import BenchmarkReport
from p2o_convert.report import scores_table
from p2o_convert.tables import table


def page(report: BenchmarkReport) -> str:
    """Write the report as Markdown."""
    machine = report.machine
    parts = [
        f"# Formats of {report.model}",
        f"Shipped: {report.shipped}. {machine['processor']}; {machine['system']}.",
        _summary(report),
    ]
    if any(report.timings.values()):
        parts += [
            f"Milliseconds per image over {report.repeats} images; the formats take turns, image "
            "by image. `cpu` is processor time over all threads, which other programs hardly "
            "change.",
            _speed(report),
            _advice(report),
        ]
    if report.scores:
        first = next(iter(report.scores))
        parts += [
            f"On the same {report.images} validation images; `agreement` is with {first}:",
            scores_table(report.scores),
        ]
    parts += [f"- FAILED: {failure}" for failure in report.failures]
    made_with = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return "\n\n".join(part for part in [*parts, made_with] if part) + "\n"


def _summary(report: BenchmarkReport) -> str:
    rows = []
    for name in report.timings:
        size = f"{report.bytes[name] / 1e6:.2f}" if name in report.bytes else "-"
        figures = report.scores.get(name, {})
        maps = [figures.get(key) for key in ("map25", "map50")]
        medians = [f"{timing.median_ms:.1f}" for timing in report.timings[name]]
        rows.append([name, size, *medians, *(_percent(value) for value in maps)])
    threads = next(iter(report.timings.values()), [])
    speed = [f"ms, {timing.threads} thread(s)" for timing in threads]
    return table(["format", "MB", *speed, "mAP@0.25", "mAP@0.5"], rows)


def _speed(report: BenchmarkReport) -> str:
    rows = []
    base = {t.threads: t.cpu_ms for t in report.timings.get("float32", [])}
    for name, timings in report.timings.items():
        for timing in timings:
            reference = base.get(timing.threads)
            rows.append(
                [
                    name,
                    str(timing.threads),
                    f"{timing.min_ms:.1f}",
                    f"{timing.median_ms:.1f}",
                    f"{timing.p95_ms:.1f}",
                    f"{timing.cpu_ms:.1f}",
                    f"{timing.cpu_ms / reference:.2f}" if reference else "-",
                ]
            )
    header = ["format", "threads", "min", "median", "p95", "cpu", "cpu / float32"]
    return table(header, sorted(rows, key=lambda row: row[1]))


def _advice(report: BenchmarkReport) -> str:
    if report.machine["int8_dot_products"]:
        return ""
    return (
        "This processor has no 8-bit dot products (VNNI, or dotprod on ARM), so int8 is about as "
        "fast as float32 here; processors that have them run it about twice as fast."
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
