"""Short quantisation-aware fine-tuning: let the weights learn to live with int8.

The network is trained to give what it gave before, while its weights and activations are rounded
as the converter will round them. The gradient passes the rounding as if it were not there. No
labels are needed: the calibration images are enough, and the float network is the teacher.
"""

import copy
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from tqdm import trange

from p2o_convert.config import QuantiseConfig
from p2o_convert.sparse import sparse_heads
from p2o_train.network.build import normalise
from points2objects.geometry import ByteArray
from points2objects.spec import ModelSpec

log = logging.getLogger(__name__)

BATCH = 4
WARM_UP = 4
"""Batches that the activations' ranges are measured on before the first step."""
WEIGHT_STEPS = 127
EVERYWHERE = 0.05
"""Weight of a cell far from any object; at a peak of the teacher's heat-map it is 1."""


class RoundWeights(nn.Module):
    """Rounds a convolution's weights to the int8 steps of their output channel.

    Batch norm scales whole output channels, so rounding before it is rounding after it.
    """

    def forward(self, weight: Tensor) -> Tensor:
        """Return weights of the same shape, (out, ...), on the steps of their output channel."""
        largest = weight.detach().abs().flatten(1).amax(dim=1).clamp_min(1e-12)
        zero = torch.zeros(len(weight), dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(
            weight, largest / WEIGHT_STEPS, zero, 0, -WEIGHT_STEPS, WEIGHT_STEPS
        )


class RoundActivations(nn.Module):
    """Rounds activations to 255 steps between the least and the largest value seen."""

    def __init__(self) -> None:
        super().__init__()
        self.low = self.high = 0.0
        self.measuring = True

    def forward(self, values: Tensor) -> Tensor:
        """Return values of the same shape; while measuring, unchanged."""
        if self.measuring:
            self.low = min(self.low, float(values.min()))
            self.high = max(self.high, float(values.max()))
            return values
        step = max(self.high - self.low, 1e-9) / 255
        zero = round(-128 - self.low / step)
        return torch.fake_quantize_per_tensor_affine(values, step, zero, -128, 127)


@dataclass(frozen=True)
class Rounded:
    """A network that rounds like int8, and the parts that do it.

    Attributes:
        network: Trainable.
        activations: Its activation rounders.
        undo: Takes everything out again.
    """

    network: nn.Module
    activations: Sequence[RoundActivations]
    undo: Callable[[], None]


def fine_tune(
    network: nn.Module, images: ByteArray, spec: ModelSpec, options: QuantiseConfig
) -> nn.Module:
    """Return a copy of the network whose outputs change less when it is quantised.

    Args:
        network: As trained, in eval mode; it is not changed.
        images: Canonical views to learn on, (n, s, s, 3), RGB.
        spec: The model's contract.
        options: Steps and learning rate.
    """
    teacher = copy.deepcopy(network).eval().requires_grad_(False)
    student = copy.deepcopy(network).eval().requires_grad_(True)
    left_float = sparse_heads(spec) if options.heads == "sparse" else []
    rounded = round_like_int8(student, left_float)
    rng = np.random.default_rng(0)
    optimizer = torch.optim.Adam(student.parameters(), lr=options.qat_lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.qat_steps)
    with torch.no_grad():
        for _ in range(WARM_UP):
            student(_batch(images, spec, rng))
    for part in rounded.activations:
        part.measuring = False
    bar = trange(options.qat_steps, desc="fine-tuning", unit="step", disable=None)
    for _ in bar:
        batch = _batch(images, spec, rng)
        with torch.no_grad():
            wanted = teacher(batch)
        loss = imitation_loss(student(batch), wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        bar.set_postfix(loss=f"{float(loss.detach()):.4f}")
    rounded.undo()
    return student.eval().requires_grad_(False)


def round_like_int8(network: nn.Module, left_float: Sequence[str] = ()) -> Rounded:
    """Make a network round its weights and the inputs of its convolutions.

    What a convolution reads is what the layer before it wrote, sums and ReLUs included, so their
    inputs cover every activation but the outputs, whose rounding nothing could make up for.

    Args:
        network: It is changed.
        left_float: Outputs whose heads are not rounded.
    """
    layers = [
        module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and not set(name.split(".")) & set(left_float)
    ]
    rounders = []
    handles = []
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", RoundWeights())
        rounder = RoundActivations()
        rounders.append(rounder)
        handles.append(layer.register_forward_pre_hook(_hook(rounder)))

    def undo() -> None:
        for layer, handle in zip(layers, handles, strict=True):
            handle.remove()
            # What was trained are the unrounded weights; the converter rounds them itself.
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)

    return Rounded(network, rounders, undo)


def imitation_loss(have: dict[str, Tensor], wanted: dict[str, Tensor]) -> Tensor:
    """Return how far outputs are from the teacher's, relative to their spread, most at its peaks.

    Args:
        have: Name -> (b, c, h, w); `heatmap` holds logits.
        wanted: The same of the teacher.
    """
    score = torch.sigmoid(wanted["heatmap"])
    near = EVERYWHERE + (1 - EVERYWHERE) * score.amax(dim=1, keepdim=True)
    total = torch.zeros(())
    for name, target in wanted.items():
        output = have[name]
        if name == "heatmap":
            # In scores, as the decoder reads them: logits far below the threshold do not matter.
            output, target = torch.sigmoid(output), score
        spread = (near * target.square()).mean().clamp_min(1e-6)
        total = total + (near * (output - target).square()).mean() / spread
    return total / len(wanted)


def _hook(rounder: RoundActivations) -> Callable[[nn.Module, tuple[Tensor]], tuple[Tensor]]:
    def before(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        return (rounder(inputs[0]),)

    return before


def _batch(images: ByteArray, spec: ModelSpec, rng: np.random.Generator) -> Tensor:
    chosen = images[rng.choice(len(images), min(BATCH, len(images)), replace=False)]
    # Seen from the other side too: the calibration images are few.
    if rng.random() < 0.5:
        chosen = chosen[:, :, ::-1]
    return normalise(torch.from_numpy(np.ascontiguousarray(chosen)), spec)
