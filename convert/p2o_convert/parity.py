"""How far apart two stages of the conversion are, head by head, on real images."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from tqdm import tqdm

from p2o_train.predictors import Predictor
from points2objects.geometry import ByteArray, FloatArray


@dataclass(frozen=True)
class HeadError:
    """Difference of one output tensor between two stages, over all images.

    Attributes:
        largest: Largest absolute difference, in the head's own unit.
        mean: Mean absolute difference.
        relative: L2 norm of the difference over the L2 norm of the earlier stage.
        cosine: Cosine between both as vectors; 1 when both are all zero.
    """

    largest: float
    mean: float
    relative: float
    cosine: float


@dataclass(frozen=True)
class Stage:
    """One form of the model that can be run.

    Attributes:
        name: "torch", "onnx", "float32", "int8", ...
        predict: Runs it on one canonical image.
        limit: Largest relative error of a head against the stage it was made of.
        made_of: Name of that stage; the one before when empty.
    """

    name: str
    predict: Predictor
    limit: float
    made_of: str = ""


@dataclass(frozen=True)
class Step:
    """What one conversion step did to every head.

    Attributes:
        name: "torch -> onnx", ...
        limit: Largest relative error allowed.
        heads: Error of each output.
    """

    name: str
    limit: float
    heads: dict[str, HeadError]

    @property
    def broken(self) -> list[str]:
        """Heads over the limit, or not a number, worst first."""
        bad = [name for name, head in self.heads.items() if not head.relative <= self.limit]
        return sorted(bad, key=lambda name: -np.nan_to_num(self.heads[name].relative, nan=np.inf))


class _Sums:
    """Running sums of one head; `add` image by image, then `error`."""

    def __init__(self) -> None:
        self.largest = self.absolute = self.squared = self.dot = 0.0
        self.norm_a = self.norm_b = 0.0
        self.count = 0

    def add(self, a: FloatArray, b: FloatArray) -> None:
        a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
        difference = np.abs(a - b)
        # np.maximum, unlike max, lets a NaN through.
        self.largest = float(np.maximum(self.largest, difference.max()))
        self.absolute += float(difference.sum())
        self.squared += float(difference @ difference)
        self.dot += float(a @ b)
        self.norm_a += float(a @ a)
        self.norm_b += float(b @ b)
        self.count += a.size

    def error(self) -> HeadError:
        product = np.sqrt(self.norm_a * self.norm_b)
        same = 1.0 if self.norm_a == self.norm_b == 0 else 0.0
        if self.norm_a > 0:
            relative = float(np.sqrt(self.squared / self.norm_a))
        else:
            relative = 0.0 if self.squared == 0 else float("inf")
        return HeadError(
            largest=self.largest,
            mean=self.absolute / self.count,
            relative=relative,
            cosine=float(self.dot / product) if product > 0 else same,
        )


def compare_stages(stages: Sequence[Stage], images: ByteArray) -> list[Step]:
    """Run all stages on the same images and compare each with the one it was made of.

    Args:
        stages: In the order of the conversion.
        images: Canonical views, (n, s, s, 3), RGB; at least one.
    """
    pairs = [(stage.made_of or before.name, stage) for before, stage in pairwise(stages)]
    sums: list[dict[str, _Sums]] = [{} for _ in pairs]
    for image in tqdm(images, desc="comparing stages", unit="image", disable=None):
        maps = {
            stage.name: {name: output.real() for name, output in stage.predict(image).items()}
            for stage in stages
        }
        for (source, stage), total in zip(pairs, sums, strict=True):
            for name, values in maps[source].items():
                total.setdefault(name, _Sums()).add(values, maps[stage.name][name])
    return [
        Step(
            f"{source} -> {stage.name}",
            stage.limit,
            {name: total.error() for name, total in heads.items()},
        )
        for (source, stage), heads in zip(pairs, sums, strict=True)
    ]


def first_broken(steps: Iterable[Step]) -> Step | None:
    """Return the earliest step over its limit; what comes later only inherits its error."""
    return next((step for step in steps if step.broken), None)
