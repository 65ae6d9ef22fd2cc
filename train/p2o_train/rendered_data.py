"""Open the files that a training config names."""

from dataclasses import asdict, dataclass

import numpy as np

from p2o_shapedb.database import ModelEntry, ShapeDB
from p2o_train.batches import TrainingData
from p2o_train.config import TrainConfig
from p2o_train.data.augment import AugmentConfig, augment
from p2o_train.data.photos2d import PhotoDataset
from p2o_train.data.rendered import RenderedDataset
from p2o_train.data.sample import Sample
from p2o_train.metrics.solids import Solids, solids_folder
from p2o_train.shape_overlap import shape_overlaps


@dataclass(frozen=True)
class RenderedAugment:
    """Augmentation bound to its options and models; can be sent to loader processes."""

    config: AugmentConfig
    models: tuple[ModelEntry, ...]

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        """Return a varied copy of a sample."""
        return augment(sample, rng, self.config, self.models)


def load_training_data(config: TrainConfig) -> TrainingData:
    """Open the dataset's splits and its shape database.

    Raises:
        InputError: A folder is missing, broken, or made for another database.
    """
    shapedb = ShapeDB.load(config.shapedb)
    train, val = (RenderedDataset(config.dataset, name, shapedb) for name in ("train", "val"))
    labels = None
    if config.loss.shape_labels == "overlap":
        solids = Solids(shapedb, solids_folder(config.shapedb, config.solids))
        labels = shape_overlaps(shapedb, solids)
    photos = None
    if config.photos is not None:
        photos = PhotoDataset(config.photos, shapedb.classes, "train")
    varied = AugmentConfig(border_rgb=config.mean) if config.augment else None
    return TrainingData(
        train=train,
        val=val,
        shapedb=shapedb,
        augment=RenderedAugment(varied, shapedb.models) if varied is not None else None,
        shape_labels=labels,
        photos=photos,
        record={
            "train": {"images": len(train), "sha256": train.digest},
            "val": {"images": len(val), "sha256": val.digest},
            "photos": None if photos is None else photos.record,
            "augment": asdict(varied) if varied is not None else None,
        },
    )
