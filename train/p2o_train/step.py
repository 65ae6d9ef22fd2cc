"""One training step: forward, losses, gradients, weights, running mean."""

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from p2o_shapedb.database import ShapeDB
from p2o_train.batches import Batch
from p2o_train.checkpoint import TrainingState
from p2o_train.config import OptimConfig, TrainConfig
from p2o_train.ema import update_average
from p2o_train.frozen import FrozenBatch
from p2o_train.machine import autocast
from p2o_train.network.build import PointsNetwork, normalise
from p2o_train.photo_loss import photo_terms
from p2o_train.photo_targets import PhotoTargets
from p2o_train.schedule import lr_factor
from p2o_train.targets import Targets
from p2o_train.team import ALONE, Team
from p2o_train.total import LossTerms, loss_terms
from points2objects.spec import ModelSpec

CPU = torch.device("cpu")

PRETRAINED = ("body.backbone", "body.levels")
"""Parts that have learned before, and learn at `OptimConfig.backbone_lr` times the rate."""


@dataclass(frozen=True)
class Learner:
    """What a step needs besides its batch.

    Attributes:
        config: Options of the run.
        spec: The network's contract.
        team: The processes that learn together.
        exemplar_sdf: `ShapeDB.sdf` on the device, (K, d, d, d).
        exemplar_points: Surface points of the exemplars on the device, canonical, (K, p, 3).
    """

    config: TrainConfig
    spec: ModelSpec
    team: Team
    exemplar_sdf: Tensor
    exemplar_points: Tensor

    @classmethod
    def of(
        cls,
        config: TrainConfig,
        spec: ModelSpec,
        shapedb: ShapeDB,
        team: Team = ALONE,
        device: torch.device = CPU,
    ) -> "Learner":
        """Put the shapes that the losses need on a device."""
        points = torch.from_numpy(shapedb.points[shapedb.exemplar_model])
        sdf = torch.from_numpy(shapedb.sdf)
        return cls(config, spec, team, *(t.to(device, torch.float32) for t in (sdf, points)))

    def step(
        self, state: TrainingState, batch: Batch | FrozenBatch, progress: float
    ) -> dict[str, float]:
        """Learn from this process' share of a batch, and return the numbers to log.

        Args:
            state: Network, running mean and optimizer; changed in place.
            batch: On the network's device.
            progress: Share of the run that is done, 0..1.

        Raises:
            RuntimeError: The loss or its gradient is no number any more.
        """
        started, optim = time.monotonic(), self.config.optim
        factor = lr_factor(progress, optim)
        for group in state.optimizer.param_groups:
            group["lr"] = group["peak_lr"] * factor
        network, loss = state.network.train(), self.config.loss
        if isinstance(batch, FrozenBatch):
            with autocast(self.config, batch.patches.device):
                outputs = batch.outputs(network.heads)
            terms = self._rendered(_real(outputs), batch.targets, progress)
            total, numbers = terms.total(loss), terms.numbers()
        else:
            parts = self._outputs(network, batch)
            terms = self._rendered(parts[0], batch.rendered, progress)
            total, numbers = terms.total(loss), terms.numbers()
            if batch.photos is not None:
                photo = photo_terms(parts[1], batch.photos, self.exemplar_points, self.spec)
                total, numbers = total + photo.total(loss), numbers | photo.numbers()
        numbers = self._shared({"total": total.item(), **numbers}, total.device)
        _check_finite("loss", numbers["total"], state.step)
        state.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        trained = [p for p in state.network.parameters() if p.requires_grad]
        self.team.average_gradients(trained)
        norm = nn.utils.clip_grad_norm_(trained, optim.clip).item()
        _check_finite("gradient", norm, state.step)
        state.optimizer.step()
        state.step += 1
        update_average(state.average, state.network, optim.ema, state.step)
        seconds = time.monotonic() - started
        return {**numbers, "gradient": norm, "lr": optim.lr * factor, "s": seconds}

    def _outputs(self, network: PointsNetwork, batch: Batch) -> list[dict[str, Tensor]]:
        """Return the outputs for the rendered pictures, then for the photographs."""
        parts: list[Targets | PhotoTargets] = [batch.rendered]
        if batch.photos is not None:
            parts.append(batch.photos)
        images = torch.cat([part.images for part in parts])
        with autocast(self.config, images.device):
            features = network.body(normalise(images, self.spec))
            split = features.split([len(part.images) for part in parts])
            made = [
                network.heads.at(own, part.cells) for own, part in zip(split, parts, strict=True)
            ]
        return [_real(outputs) for outputs in made]

    def _rendered(self, outputs: dict[str, Tensor], targets: Targets, progress: float) -> LossTerms:
        """Return the terms whose mean over the team is that of the whole batch."""
        loss = self.config.loss
        collide = progress >= loss.collision_from and loss.collision > 0
        sdf = self.exemplar_sdf if collide else None
        terms = loss_terms(outputs, targets, sdf, self.spec, self.config)
        if self.team.size == 1:
            return terms
        # Each process divided by its own counts; the whole batch's are what counts.
        own = targets.counts.clamp(min=1)
        mean = self.team.mean(targets.counts).clamp(min=1 / self.team.size)
        centers, objects = (own / mean).tolist()
        return terms.scaled(key=centers, others=objects)

    def _shared(self, numbers: dict[str, float], device: torch.device) -> dict[str, float]:
        """Return the means of numbers over the team."""
        if self.team.size == 1:
            return numbers
        shared = torch.tensor(list(numbers.values()), device=device)
        return dict(zip(numbers, self.team.mean(shared).tolist(), strict=True))


def make_optimizer(network: PointsNetwork, config: OptimConfig) -> torch.optim.Optimizer:
    """Make AdamW: kernels decay, biases and norms do not; the backbone has its own rate."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            lr = config.lr * (config.backbone_lr if name.startswith(PRETRAINED) else 1.0)
            decay = config.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((lr, decay), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "lr": lr, "peak_lr": lr, "weight_decay": decay}
            for (lr, decay), parameters in groups.items()
        ],
        fused=True,
    )


def _real(outputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return float32 of whatever precision the maps have."""
    return {name: value.float() for name, value in outputs.items()}


def _check_finite(what: str, value: float, step: int) -> None:
    if not math.isfinite(value):
        raise RuntimeError(
            f"the {what} became {value} at step {step}; the last checkpoint is whole: "
            "lower --optim.lr or --optim.clip"
        )
