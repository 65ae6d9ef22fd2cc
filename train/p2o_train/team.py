"""The processes that train one network together, as torchrun starts them.

Each takes its share of every batch. Gradients, the statistics of batch norms and the counts that
losses are divided by are averaged over all of them, so that two processes learn what one would
learn from the whole batch. The first process alone writes, validates and reports.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable

from points2objects.errors import InputError

PATIENCE = timedelta(hours=4)
"""So long the others wait while the first process validates."""


@dataclass(frozen=True)
class Team:
    """One process' place among those that train together; alone by default.

    Attributes:
        rank: Which one this is; 0 leads.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes, validates and reports."""
        return self.rank == 0

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over the processes of a tensor that each holds; without gradients."""
        if self.size == 1:
            return values
        values = values.detach().clone()
        distributed.all_reduce(values)
        return values / self.size

    def leaders(self, value: float) -> float:
        """Return the value that the leading process has."""
        if self.size == 1:
            return value
        backend = distributed.get_backend()
        device = torch.device("cuda" if backend == "nccl" else "cpu")
        shared = torch.tensor([value], dtype=torch.float64, device=device)
        distributed.broadcast(shared, src=0)
        return shared.item()

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace the gradients by their means over the processes."""
        if self.size == 1:
            return
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = self.mean(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for parameter, gradient, part in zip(parameters, gradients, parts, strict=True):
            parameter.grad = gradient.copy_(part.view_as(gradient))


ALONE = Team()


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[Team]:
    """Join the processes that torchrun started; alone if it did not."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        yield ALONE
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Team(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def own_gpu() -> int:
    """Return the index of this process' GPU on its machine.

    Raises:
        InputError: The machine has more processes than GPUs.
    """
    index, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if index >= count:
        raise InputError(
            f"torchrun started more processes than the {count} GPUs here; lower --nproc-per-node"
        )
    return index


def share_norms(network: nn.Module, team: Team) -> None:
    """Let the network's batch norms use the statistics of all processes' images, in place."""
    if team.size > 1:
        for module in network.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = SharedBatchNorm2d


class SharedBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the images of all processes; alike on CPU and GPU, unlike torch's own.

    Every process must hold as many images.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised map, (b, c, h, w)."""
        if not self.training:
            return super().forward(input)
        x = input.float()
        mean = _mean_over_team(x.mean((0, 2, 3)))
        centered = x - mean[:, None, None]
        variance = _mean_over_team(centered.square().mean((0, 2, 3)))
        self._remember(mean.detach(), variance.detach(), x[:, 0].numel())
        normal = centered * torch.rsqrt(variance + self.eps)[:, None, None]
        return torch.addcmul(
            self.bias[:, None, None], normal, self.weight[:, None, None]
        ).to(input.dtype)  # fmt: skip

    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        count *= distributed.get_world_size()
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)


class _MeanOverTeam(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return _reduced(values)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grad_outputs: Tensor
    ) -> Tensor:
        return _reduced(grad_outputs[0])


def _mean_over_team(values: Tensor) -> Tensor:
    """Return the mean over the processes; gradients flow back to all of them."""
    mean: Tensor = _MeanOverTeam.apply(values)  # type: ignore[no-untyped-call]
    return mean


def _reduced(values: Tensor) -> Tensor:
    values = values.clone()
    distributed.all_reduce(values)
    return values / distributed.get_world_size()
