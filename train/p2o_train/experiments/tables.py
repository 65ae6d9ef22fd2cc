"""What each of the paper's tables compares: runs to train, rows to fill, figures of the paper."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

DATASET = "dataset"
"""Name of the only data set of tables 1 to 4."""

Words = tuple[str, ...]


@dataclass(frozen=True)
class Column:
    """One figure of a table.

    Attributes:
        title: What stands above it.
        share: Whether it is a share 0..1, to be shown in percent like the paper's.
    """

    title: str
    share: bool = True


@dataclass(frozen=True)
class Arm:
    """One training.

    Attributes:
        name: Of its folder.
        words: Options of train/run.py that set it apart.
        data: Name of the data set it learns from.
    """

    name: str
    words: Words = ()
    data: str = DATASET


@dataclass(frozen=True)
class Row:
    """One evaluation of one arm.

    Attributes:
        label: What stands in front.
        arm: Name of the arm.
        figures: Where each column's value is in the report's JSON, as keys joined by dots.
        paper: The paper's values, in percent where the column is a share; None: it has none.
        data: Name of the data set it is tested on.
    """

    label: str
    arm: str
    figures: tuple[str, ...]
    paper: tuple[float | None, ...]
    data: str = DATASET

    @property
    def on_voxels(self) -> bool:
        """Whether any of its figures is counted on voxel grids."""
        return any(figure.startswith("voxels.") for figure in self.figures)


@dataclass(frozen=True)
class Table:
    """One of the paper's tables.

    Attributes:
        number: In the paper.
        title: What it is about.
        columns: Figures of each row.
        arms: Trainings.
        rows: Evaluations; differences are told against the first.
        common: Options of train/run.py for all arms.
        fresh_heads: Heads that start anew in all arms when they are fine-tuned, because weights
            from before would favour the arm they were learned with.
        note: How ours differs from the paper's.
    """

    number: int
    title: str
    columns: tuple[Column, ...]
    arms: tuple[Arm, ...]
    rows: tuple[Row, ...]
    common: Words = ()
    fresh_heads: tuple[str, ...] = ()
    note: str = ""


_MEAN_GLOBAL = (Column("voxel IoU mean"), Column("voxel IoU global"))
_BOXES = (Column("mAP@0.5"), Column("mAP@0.25"))
_BOX_FIGURES = ("map50", "map25")
_ABSOLUTE = ("voxels.absolute.mean", "voxels.absolute.overall")

_PAPER_CLASSES = ("bottle", "bowl", "chair", "mug", "sofa", "table")
_PAPER_IOU = {
    "absolute": (63.5, 30.2, 18.9, 41.5, 44.5, 19.8),
    "aligned": (78.2, 39.9, 30.6, 47.3, 54.9, 38.7),
    "oracle": (86.0, 56.5, 42.1, 66.1, 66.3, 50.2),
}


def table_1(classes: Sequence[str]) -> Table:
    """Voxel IoU of whole scenes: as predicted, with detected objects aligned, and at best."""

    def row(label: str, part: str, relative: str, paper: tuple[float | None, ...]) -> Row:
        by_class: dict[str, float] = dict(zip(_PAPER_CLASSES, _PAPER_IOU[part], strict=True))
        figures = [f"voxels.{part}.by_class.{i}" for i in range(len(classes))]
        figures += [f"voxels.{part}.mean", f"voxels.{part}.overall"]
        figures += [f"{relative}.mean", f"{relative}.overall"] if relative else ["", ""]
        values = (*(by_class.get(name) for name in classes), *paper)
        return Row(label, "ours", tuple(figures), values)

    relative_columns = (Column("relative mean"), Column("relative global"))
    return Table(
        number=1,
        title="Voxel IoU of whole scenes",
        columns=(*(Column(name) for name in classes), *_MEAN_GLOBAL, *relative_columns),
        arms=(Arm("ours"),),
        rows=(
            row("as predicted", "absolute", "voxels.relative", (36.4, 44.7, 59.5, 73.0)),
            row("aligned", "aligned", "voxels.aligned_relative", (48.3, 52.0, 78.9, 84.9)),
            row("oracle", "oracle", "", (61.2, 61.2, 100.0, 100.0)),
        ),
        note="CoReNet in the same table: 43.9 mean, 49.8 global (m9).",
    )


def table_2(classes: Sequence[str]) -> Table:
    """Formulations of the box's rotation and translation."""
    frobenius = ("--loss.rotation-norm", "frobenius")
    jointly = ("--loss.points", "10", "--loss.offset", "0", "--loss.distance", "0")
    return Table(
        number=2,
        title="Formulations of the box",
        columns=_BOXES,
        arms=(
            Arm("bins", ("--rotation", "bins")),
            Arm("matrix", ("--rotation", "matrix", *frobenius)),
            Arm("svd", ("--rotation", "svd", *frobenius)),
            Arm("points", ("--rotation", "points", *jointly)),
        ),
        rows=(
            Row("bins: L_bin + L_off + L_t", "bins", _BOX_FIGURES, (43.3, 75.0)),
            Row("matrix: L_M + L_t", "matrix", _BOX_FIGURES, (44.8, 77.0)),
            Row("svd: L_R + L_t", "svd", _BOX_FIGURES, (46.8, 77.2)),
            Row("points: L_Rt", "points", _BOX_FIGURES, (48.6, 77.2)),
        ),
        common=("--loss.settled", "0"),
        fresh_heads=("rotation", "translation"),
        note="In the RAY encoding L_t is the L1 loss of the sub-cell offset and of the "
        "log-distance; with --pose direct it is the paper's Huber loss.",
    )


def table_3(classes: Sequence[str]) -> Table:
    """Effect of the collision loss."""
    counts = ("collisions", "real_collisions")
    figures = ("voxels.collision_cells", "collision_volume", *counts, *_BOX_FIGURES)
    cells, volume = Column("mean volume, cells", False), Column("cubic camera heights", False)
    return Table(
        number=3,
        title="Effect of the collision loss",
        columns=(
            *(cells, volume, Column("collisions", False)),
            *(Column("of two objects that both are there", False), *_BOXES),
        ),
        arms=(
            Arm("without", ("--loss.collision", "0")),
            Arm("with", ("--loss.collision", "1")),
        ),
        rows=(
            Row("without", "without", figures, (1168.8, None, 4116, None, None, None)),
            Row("with the collision loss", "with", figures, (794.0, None, 1627, None, None, None)),
        ),
        fresh_heads=("rotation", "translation", "scale"),
        note="Volumes are counted in cells of each scene's own grid of --voxel-size cells a side. "
        "With --init the pose heads of both arms start anew: those of --init may know collisions.",
    )


def table_4(classes: Sequence[str]) -> Table:
    """Soft against hard labels of the exemplar head."""
    columns = (*_MEAN_GLOBAL, Column("IoU of the chosen exemplar"), Column("nearest chosen"))
    figures = (*_ABSOLUTE, "voxels.chosen_iou", "errors.exemplar_accuracy")
    return Table(
        number=4,
        title="Soft against hard labels",
        columns=columns,
        arms=(
            Arm("hard", ("--loss.shape-labels", "hard")),
            Arm("soft", ("--loss.shape-labels", "soft")),
            Arm("overlap", ("--loss.shape-labels", "overlap")),
            Arm("choice", ("--loss.shape-labels", "soft", "--loss.soft-temperature", "0.1")),
        ),
        rows=(
            Row("hard labels", "hard", figures, (32.2, 40.3, None, None)),
            Row("soft labels", "soft", figures, (36.4, 44.7, None, None)),
            Row("soft labels of shared volume", "overlap", figures, (None, None, None, None)),
            Row("soft labels, one choice", "choice", figures, (None, None, None, None)),
        ),
        fresh_heads=("exemplar",),
    )


def table_5(classes: Sequence[str]) -> Table:
    """Trained on pairs or triplets of objects, tested on the other."""
    columns, figures = (*_MEAN_GLOBAL, *_BOXES), (*_ABSOLUTE, *_BOX_FIGURES)

    def row(learned: str, tested: str, paper: float) -> Row:
        values = (paper, None, None, None)
        return Row(f"{learned} -> {tested}", learned, figures, values, tested)

    return Table(
        number=5,
        title="Other numbers of objects than in training",
        columns=columns,
        arms=(Arm("triplets", data="triplets"), Arm("pairs", data="pairs")),
        rows=(
            row("triplets", "triplets", 36.4),
            row("triplets", "pairs", 36.2),
            row("pairs", "triplets", 32.7),
        ),
    )


TABLES: dict[int, Callable[[Sequence[str]], Table]] = {
    1: table_1,
    2: table_2,
    3: table_3,
    4: table_4,
    5: table_5,
}
