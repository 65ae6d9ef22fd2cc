"""How far a run is, and what the learning rate is there."""

import math
from dataclasses import dataclass

from p2o_train.config import OptimConfig, TrainConfig


@dataclass(frozen=True)
class Horizon:
    """Where a run ends: after so many steps, or after so much training time.

    A run by time lays its schedule over the clock, so it ends as annealed as a run by steps,
    however fast the machine turns out to be.

    Attributes:
        steps: Last step; None when time decides.
        seconds: Training time; None when steps decide.
    """

    steps: int | None
    seconds: float | None

    @classmethod
    def of(cls, config: TrainConfig, steps_per_epoch: int) -> "Horizon":
        """Read the horizon from the options."""
        if config.minutes is not None:
            return cls(None, config.minutes * 60)
        return cls(config.steps or config.epochs * steps_per_epoch, None)

    def progress(self, step: int, elapsed_s: float) -> float:
        """Return the share of the run that is done, 0..1, after `step` steps."""
        if self.steps is not None:
            return min(step / self.steps, 1.0)
        assert self.seconds is not None
        return min(elapsed_s / self.seconds, 1.0)


def lr_factor(progress: float, config: OptimConfig) -> float:
    """Return the factor on the learning rate: linear warm-up, constant, half a cosine to zero.

    The paper's 300 epochs warm up for 5 and decay from 200 on; here both are shares of the run.
    """
    if progress < config.warmup:
        # Not zero at the very first step, which would be wasted.
        return max(progress / config.warmup, 0.01)
    if progress < config.constant_until or config.constant_until == 1:
        return 1.0
    falling = (progress - config.constant_until) / (1 - config.constant_until)
    return 0.5 * (1 + math.cos(math.pi * falling))
