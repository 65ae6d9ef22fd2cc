"""How large and how fast a network is."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from p2o_train.config import TrainConfig
from p2o_train.machine import describe_machine
from p2o_train.network.build import build_network
from points2objects.spec import ModelSpec

WARM_UP = 10


@dataclass(frozen=True)
class Latency:
    """Times of one image on the CPU, ms.

    Attributes:
        median: Half of the images took longer.
        p95: One of twenty did.
    """

    median: float
    p95: float


def parameter_count(network: nn.Module) -> int:
    """Return the number of weights."""
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: nn.Module, size_px: int) -> int:
    """Return the multiply-adds of the convolutions and linear layers for one square image."""
    total = 0

    def count(module: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += output[0, 0].numel() * module.weight.numel()
        elif isinstance(module, nn.Linear):
            total += output[0].numel() * module.in_features

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    with torch.no_grad():
        network(torch.zeros(1, 3, size_px, size_px))
    for hook in hooks:
        hook.remove()
    return total


def cpu_latency(network: nn.Module, size_px: int, threads: int, repeats: int) -> Latency:
    """Time one image at a time, channels last, in torch without compiling; sets torch's threads."""
    torch.set_num_threads(threads)
    image = torch.zeros(1, 3, size_px, size_px).to(memory_format=torch.channels_last)
    times = []
    with torch.inference_mode():
        for turn in range(WARM_UP + repeats):
            start = time.perf_counter()
            network(image)
            if turn >= WARM_UP:
                times.append(1e3 * (time.perf_counter() - start))
    return Latency(float(np.median(times)), float(np.percentile(times, 95)))


def describe_presets(
    configs: Mapping[str, TrainConfig], sizes: tuple[int, int], threads: int, repeats: int
) -> str:
    """Return a table of untrained networks; speed does not depend on the weights.

    Args:
        configs: Name -> options.
        sizes: Classes, and exemplars of each.
        threads: CPU threads.
        repeats: Timed images each; 0: do not time.
    """
    rows = [
        f"| network | input | parameters | multiply-adds | CPU, {threads} thread(s) | p95 |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, config in configs.items():
        spec = ModelSpec(
            name, tuple(map(str, range(sizes[0]))), sizes[1], "", input_size=config.input_size
        )
        network = build_network(replace(config.network, pretrained=False), spec).eval()
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        macs = multiply_adds(network, config.input_size)
        times = "- | -"
        if repeats:
            latency = cpu_latency(network, config.input_size, threads, repeats)
            times = f"{latency.median:.1f} ms | {latency.p95:.1f} ms"
        rows.append(
            f"| {name} | {config.input_size} | {parameter_count(network) / 1e6:.2f} M | "
            f"{macs / 1e9:.2f} G | {times} |"
        )
    return "\n".join([*rows, "", describe_machine()])
