"""Open the files that a training config names."""

from dataclasses import dataclass

import numpy as np

from p2o_shapedb.database import ModelEntry, ShapeDB
from p2o_train.batches import TrainingData
from p2o_train.config import TrainConfig
from p2o_train.data.augment import AugmentConfig, augment
from p2o_train.data.rendered import RenderedDataset
from p2o_train.data.sample import Sample


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
    return TrainingData(
        train=RenderedDataset(config.dataset, "train", shapedb),
        val=RenderedDataset(config.dataset, "val", shapedb),
        shapedb=shapedb,
        augment=(
            RenderedAugment(AugmentConfig(border_rgb=config.mean), shapedb.models)
            if config.augment
            else None
        ),
    )
