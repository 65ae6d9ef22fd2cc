"""Heads that learn alone, on features of a body that no longer changes.

The losses read all heads but the heat-map's at few cells. So the body runs once over so many
augmented images, the 3x3 features around those cells are kept with their targets, and any number
of trainings take their batches from there: minutes each on one core.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from p2o_shapedb.command import atomic_path
from p2o_shapedb.progress import progress
from p2o_train.batches import BatchDataset, batches_from
from p2o_train.config import TrainConfig
from p2o_train.network.build import PointsNetwork, normalise
from p2o_train.network.heads import Heads, gather_patches
from p2o_train.targets import Targets
from points2objects.errors import InputError
from points2objects.files import sha256
from points2objects.spec import ModelSpec

log = logging.getLogger(__name__)

KEPT = torch.float16
"""Of features on disk and in memory: a rounding of 0.05 %, for half the room."""


@dataclass(frozen=True)
class FrozenBatch:
    """A batch as the heads see it.

    Attributes:
        targets: Of the batch; pictures and heat-map are empty, (b, 0, 0, 3) and (b, c, 0, 0), as
            nothing learns from them.
        patches: Features around the m positive cells, (m, f, 3, 3).
    """

    targets: Targets
    patches: Tensor

    def to(self, device: torch.device) -> "FrozenBatch":
        """Move everything to a device."""
        return FrozenBatch(self.targets.to(device), self.patches.to(device, non_blocking=True))

    def outputs(self, heads: Heads) -> dict[str, Tensor]:
        """Return what `loss_terms` reads, like `Heads.at`, but no heat-map."""
        patches = self.patches.float()
        return {
            "heatmap": patches.new_zeros(self.targets.heatmap.shape),
            **heads.at_patches(patches),
        }


@torch.no_grad()
def freeze(
    network: PointsNetwork, batch: Targets, spec: ModelSpec, dtype: torch.dtype = KEPT
) -> FrozenBatch:
    """Run a network's body, as it is, over a batch, and keep what its heads need.

    Args:
        network: In the mode whose norm statistics count; see `PointsNetwork.freeze_body`.
        batch: On the network's device.
        spec: The network's contract.
        dtype: Of the kept features.
    """
    patches = gather_patches(network.body(normalise(batch.images, spec)), batch.cells)
    left = replace(batch, images=batch.images[:, :0, :0], heatmap=batch.heatmap[:, :, :0, :0])
    # Copies: a view would keep the pictures in memory, and write them to the file.
    left = Targets(**{f.name: getattr(left, f.name).clone() for f in fields(left)})
    return FrozenBatch(left, patches.to(dtype))


def load_or_freeze(
    config: TrainConfig, dataset: BatchDataset, network: PointsNetwork
) -> list[FrozenBatch]:
    """Return the features that `config.frozen` asks for: those in `config.features`, or new ones.

    Args:
        config: Options of the run.
        dataset: Gives the augmented images; their first batches are taken.
        network: With a frozen body (`PointsNetwork.freeze_body`).

    Raises:
        InputError: The file that holds them is damaged.
    """
    assert config.frozen is not None
    assert network.body_frozen
    count = config.frozen // config.batch
    path = config.features / f"{_key(config, dataset, network.body)[:16]}.pt"
    if path.is_file():
        log.info("features from %s", path)
        return _load(path)
    log.info("features of %d images, for %s", count * config.batch, path)
    device = next(network.parameters()).device
    batches = []
    for batch in _counted(batches_from(dataset, 0, config.workers), count):
        frozen = freeze(network, batch.to(device), dataset.spec)
        batches.append(frozen.to(torch.device("cpu")))
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        torch.save([{"patches": b.patches, **vars(b.targets)} for b in batches], temporary)
    return batches


def frozen_batches(
    batches: Sequence[FrozenBatch], seed: int, first_step: int
) -> Iterator[FrozenBatch]:
    """Yield batches from a step on, without end; each epoch in another order, by the seed."""
    step = first_step
    while True:
        epoch, place = divmod(step, len(batches))
        order = np.random.default_rng([seed, 2, epoch]).permutation(len(batches))
        yield from (batches[int(i)] for i in order[place:])
        step += len(batches) - place


def _key(config: TrainConfig, dataset: BatchDataset, body: nn.Module) -> str:
    """Return the digest of all that the features and their targets depend on."""
    spec, loss = dataset.spec, config.loss
    values = body.state_dict().values()
    weights = b"".join(value.cpu().contiguous().numpy().tobytes() for value in values)
    parts: dict[str, Any] = {
        "body": sha256(weights),
        "data": dataset.data.record,
        "shapedb": spec.shapedb_digest,
        "images": [config.frozen, config.batch, config.seed],
        "input": [spec.input_size, spec.mean, spec.std, spec.pose.value],
        "cells": [loss.min_overlap, loss.positive_radius, loss.positive_spread],
        "points": loss.point_count,
        # Hard labels are kept beside the graded ones.
        "labels": "overlap" if loss.shape_labels == "overlap" else "eq. 5",
    }
    return sha256(json.dumps(parts).encode())


def _load(path: Path) -> list[FrozenBatch]:
    try:
        stored: list[dict[str, Tensor]] = torch.load(path, map_location="cpu", weights_only=True)
        return [FrozenBatch(patches=b.pop("patches"), targets=Targets(**b)) for b in stored]
    except Exception as error:
        raise InputError(f"{path}: not readable; delete it to compute the features anew") from error


def _counted(batches: Iterator[Targets], count: int) -> Iterator[Targets]:
    for _ in progress(range(count), "features", "batch"):
        yield next(batches)
