"""The options and the body of `train/evaluate.py`."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from p2o_shapedb.command import atomic_path, refuse_existing
from points2objects.errors import InputError

if TYPE_CHECKING:
    from p2o_shapedb.database import ShapeDB
    from p2o_train.data.rendered import RenderedDataset
    from p2o_train.data.sample import Sample
    from p2o_train.evaluation import GravityReports
    from p2o_train.scene_score import VoxelMeter


@dataclass(frozen=True)
class EvaluateConfig:
    """What to score and on what."""

    model: Annotated[Path, tyro.conf.Positional]
    """Folder of a training run or a bundle, or a .tflite file that carries its spec."""
    dataset: Path = Path("dataset")
    """Rendered dataset (train/make_dataset.py)."""
    shapedb: Path = Path("shapedb")
    """Shape database that the model was trained on; with --exemplars, the dataset's."""
    exemplars: Path | None = None
    """Bundle (or its exemplars.glb) with the model's own exemplars, to measure it on a database of
    the same classes that has others. Voxel figures are then left out."""
    split: str = "val"
    """Part of the dataset."""
    limit: int | None = None
    """Only so many images, from the start."""
    score: float | None = None
    """Operating threshold of precision, recall and errors; the model's own by default."""
    threads: int = 2
    """CPU threads of the TFLite interpreter."""
    voxels: bool = True
    """Also compare whole scenes on voxel grids, as the paper's table 1 does."""
    voxel_size: int = 128
    """Cells per side of a scene's grid."""
    solids: Path | None = None
    """Folder that keeps the models' solids for later evaluations; <shapedb>.cache/solids by
    default."""
    out: Path | None = None
    """Also write all figures into this new folder: report.json and report.md."""
    pictures: Path | None = None
    """Also write pictures into this new folder: true boxes white, predicted ones in colour."""
    picture_count: int = 16
    """How many pictures."""
    overwrite: bool = False
    """Replace results that exist."""
    verbose: bool = False
    """Show where a failure happened."""

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise InputError(f"--limit must be at least 1, got {self.limit}")
        if self.score is not None and not 0 <= self.score < 1:
            raise InputError(f"--score must be in 0..1, got {self.score}")
        if self.threads < 1 or self.picture_count < 1:
            raise InputError("--threads and --picture-count must be at least 1")
        if not 8 <= self.voxel_size <= 256:
            raise InputError(f"--voxel-size must be in 8..256, got {self.voxel_size}")


@dataclass(frozen=True)
class FirstSamples:
    """The first samples of a dataset, read one at a time.

    Attributes:
        dataset: Where they come from.
        count: How many at most.
    """

    dataset: "RenderedDataset"
    count: int

    def __len__(self) -> int:
        return min(self.count, len(self.dataset))

    def __iter__(self) -> "Iterator[Sample]":
        return (self.dataset[i] for i in range(len(self)))


def evaluate_model(config: EvaluateConfig) -> None:
    """Score a model with known and with estimated gravity, and print the tables."""
    from p2o_shapedb.database import ShapeDB
    from p2o_train.data.rendered import RenderedDataset
    from p2o_train.evaluation import evaluate_both
    from p2o_train.foreign_exemplars import read_exemplars, with_exemplars
    from p2o_train.pictures import save_pictures
    from p2o_train.predictors import load_predictor

    for path in (config.out, config.pictures):
        if path is not None:
            refuse_existing(path, config.overwrite)
    shapedb = ShapeDB.load(config.shapedb)
    dataset = RenderedDataset(config.dataset, config.split, shapedb)
    model = load_predictor(config.model, config.threads)
    if config.score is not None:
        model = replace(model, spec=model.spec.with_threshold(config.score))
    samples = FirstSamples(dataset, config.limit or len(dataset))
    meter = _meter(config, shapedb) if config.voxels and config.exemplars is None else None
    if config.exemplars is not None:
        pack = read_exemplars(config.exemplars, model.spec)
        shapedb = with_exemplars(shapedb, pack, config.split)
        print(
            f"compared with the exemplars of {config.exemplars}, made again from their meshes; "
            "voxel figures need the database of the model, and are left out"
        )
    reports = evaluate_both(
        model.predict, model.spec, samples, shapedb, progress=True, voxels=meter,
        own_exemplars=config.exemplars is not None,
    )  # fmt: skip
    print(_tables(reports))
    if config.out is not None:
        with atomic_path(config.out, config.overwrite) as folder:
            folder.mkdir()
            (folder / "report.json").write_text(_json(reports, config), encoding="utf-8")
            (folder / "report.md").write_text(_tables(reports), encoding="utf-8")
        print(f"wrote {config.out}/report.json and report.md")
    if config.pictures is not None:
        with atomic_path(config.pictures, config.overwrite) as folder:
            folder.mkdir()
            chosen = FirstSamples(dataset, min(config.picture_count, len(samples)))
            count = len(save_pictures(model, chosen, folder))
        print(f"wrote {count} pictures to {config.pictures}")
    print(
        f"scored {config.model} on {len(samples)} images of {config.dataset} ({config.split}): "
        f"mAP@0.25 {100 * reports.known.map25:.1f} %, mAP@0.5 {100 * reports.known.map50:.1f} %"
    )


def _meter(config: EvaluateConfig, shapedb: "ShapeDB") -> "VoxelMeter":
    from p2o_train.metrics.solids import Solids, solids_folder
    from p2o_train.scene_score import VoxelMeter

    solids = Solids(shapedb, solids_folder(config.shapedb, config.solids))
    return VoxelMeter(shapedb, solids, config.voxel_size)


def _tables(reports: "GravityReports") -> str:
    return (
        f"## Known gravity\n\n{reports.known.to_markdown()}\n\n"
        f"## Estimated gravity\n\n{reports.estimated.to_markdown()}\n"
    )


def _json(reports: "GravityReports", config: EvaluateConfig) -> str:
    values = {
        "model": str(config.model),
        "dataset": str(config.dataset),
        "split": config.split,
        "exemplars": str(config.exemplars) if config.exemplars else None,
        "known_gravity": reports.known.to_dict(),
        "estimated_gravity": reports.estimated.to_dict(),
    }
    return json.dumps(values, indent=2) + "\n"
