"""Training batches as a pure function of the seed and the step number.

So a run that was stopped anywhere goes on with exactly the batches it would have seen, whatever
the number of loader processes.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from p2o_shapedb.database import ShapeDB
from p2o_train.config import TrainConfig
from p2o_train.data.photo_view import PhotoAugmentConfig, photo_view
from p2o_train.data.photos2d import PhotoDataset
from p2o_train.data.sample import Sample
from p2o_train.photo_targets import PhotoTargets, make_photo_targets
from p2o_train.resized import at_size
from p2o_train.targets import Targets, make_targets
from p2o_train.team import ALONE, Team
from points2objects.geometry import FloatArray
from points2objects.spec import ModelSpec

Augment = Callable[[Sample, np.random.Generator], Sample]


class Samples(Protocol):
    """Anything with a length that gives samples by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Sample: ...


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from and is validated on.

    Attributes:
        train: Training samples.
        val: Validation samples.
        shapedb: Database that both refer to.
        augment: Makes a varied sample of a sample; None: take them as they are.
        shape_labels: Graded targets of n models towards the exemplars of their class, (n, k), 0..1;
            None: those of eq. 5.
        photos: Photographs with rectangles; None: rendered pictures only.
        record: What identifies all that, as JSON values; a run keeps it as data.json.
    """

    train: Samples
    val: Samples
    shapedb: ShapeDB
    augment: Augment | None = None
    shape_labels: FloatArray | None = None
    photos: PhotoDataset | None = None
    record: dict[str, Any] = field(default_factory=dict)


def steps_per_epoch(data: TrainingData, batch: int) -> int:
    """Return how many whole batches an epoch has; a set smaller than one batch is one."""
    return max(len(data.train) // batch, 1)


class BatchDataset(Dataset[Targets]):
    """Batch number `step` of an endless training, as targets; of a team, the process' share.

    A process of a team draws its own augmentation, but the same surface points as the others.
    """

    def __init__(
        self, data: TrainingData, spec: ModelSpec, config: TrainConfig, team: Team = ALONE
    ) -> None:
        self.data = data
        self.spec = spec
        self.config = config
        self.team = team

    def __getitem__(self, step: int) -> Targets:
        seed, size = self.config.seed, self.config.batch
        epoch, batch = divmod(step, steps_per_epoch(self.data, size))
        order = np.random.default_rng([seed, 0, epoch]).permutation(len(self.data.train))
        rng = np.random.default_rng([seed, 1, step])
        whole = order[batch * size : (batch + 1) * size]
        samples = [self.data.train[int(i)] for i in whole[self.team.rank :: self.team.size]]
        if self.data.augment is not None:
            alone = self.team.size == 1
            own = rng if alone else np.random.default_rng([seed, 1, step, self.team.rank])
            samples = [self.data.augment(sample, own) for sample in samples]
        samples = [at_size(sample, self.spec.input_size) for sample in samples]
        data = self.data
        return make_targets(
            samples, data.shapedb, self.spec, self.config.loss, rng, data.shape_labels
        )


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    Attributes:
        rendered: Rendered pictures, whose boxes are known.
        photos: Photographs, whose rectangles are known; None if the run has none.
    """

    rendered: Targets
    photos: PhotoTargets | None

    def to(self, device: torch.device) -> "Batch":
        """Move everything to a device."""
        photos = None if self.photos is None else self.photos.to(device)
        return Batch(self.rendered.to(device), photos)


class MixedDataset(Dataset[Batch]):
    """Rendered batch number `step`, and photographs beside it (`--photo-batch`)."""

    def __init__(self, rendered: BatchDataset) -> None:
        self.rendered = rendered

    def __getitem__(self, step: int) -> Batch:
        return Batch(self.rendered[step], self._photos(step))

    def _photos(self, step: int) -> PhotoTargets | None:
        config, spec, team = self.rendered.config, self.rendered.spec, self.rendered.team
        photos = self.rendered.data.photos
        if photos is None:
            return None
        epoch, batch = divmod(step, max(len(photos) // config.photo_batch, 1))
        order = np.random.default_rng([config.seed, 2, epoch]).permutation(len(photos))
        whole = order[batch * config.photo_batch : (batch + 1) * config.photo_batch]
        rng = np.random.default_rng([config.seed, 3, step, team.rank])
        views = [
            photo_view(photos[int(i)], rng, spec, PhotoAugmentConfig())
            for i in whole[team.rank :: team.size]
        ]
        return make_photo_targets(views, spec, config.loss)


B = TypeVar("B")


def batches_from(dataset: Dataset[B], first_step: int, workers: int) -> Iterator[B]:
    """Yield the batches from `first_step` on, without end."""
    loader: DataLoader[B] = DataLoader(
        dataset,
        batch_size=None,
        sampler=_StepsFrom(first_step),
        num_workers=workers,
        collate_fn=_as_is,
        prefetch_factor=4 if workers else None,
    )
    yield from loader


class _StepsFrom(Sampler[int]):
    """The numbers from `first` on."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self.first)


def _as_is(batch: Any) -> Any:
    return batch
