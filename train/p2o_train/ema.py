"""A running mean of the weights: steadier than the last step's, and free at run time."""

import copy
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def averaged_copy(network: Network) -> Network:
    """Return a copy that holds the mean; it starts as the network itself."""
    average = copy.deepcopy(network).eval()
    return average.requires_grad_(False)


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move the mean towards the network, in place.

    Args:
        average: From `averaged_copy`.
        network: What is being trained.
        decay: Weight of the mean's past; 0 copies the network.
        step: Steps done; the decay grows with it, so that the first weights are soon forgotten.
    """
    weight = 1 - min(decay, (1 + step) / (10 + step) if decay else 0.0)
    mine, theirs = average.state_dict(), network.state_dict()
    for name, value in mine.items():
        if value.is_floating_point():
            value.lerp_(theirs[name], weight)
        else:
            value.copy_(theirs[name])
