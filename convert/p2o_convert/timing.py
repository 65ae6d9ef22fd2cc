"""Time several forms of a network so that a busy machine is unfair to none of them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from tqdm import trange

from p2o_train.predictors import Predictor
from points2objects.decode import decode
from points2objects.geometry import ByteArray
from points2objects.spec import ModelSpec

WARM_UP = 10


@dataclass(frozen=True)
class Timing:
    """How long one image takes.

    Attributes:
        threads: CPU threads.
        min_ms: Least.
        median_ms: Median.
        p95_ms: 95th percentile.
        cpu_ms: Median of the processor time over all threads; other programs hardly change it.
    """

    threads: int
    min_ms: float
    median_ms: float
    p95_ms: float
    cpu_ms: float


def time_predictors(
    predictors: Mapping[str, Predictor],
    image: ByteArray,
    spec: ModelSpec,
    threads: int,
    repeats: int,
) -> dict[str, Timing]:
    """Time all predictors in turns, image by image, so that ratios hold on a busy machine.

    Reading the peaks is part of it: some forms leave a part of their heads to the reader.

    Args:
        predictors: By name, each made for so many threads.
        image: Canonical view, (s, s, 3), RGB.
        spec: The contract of all.
        threads: For the record.
        repeats: Timed images per predictor.
    """
    wall: dict[str, list[float]] = {name: [] for name in predictors}
    cpu: dict[str, list[float]] = {name: [] for name in predictors}
    label = f"timing, {threads} thread(s)"
    for turn in trange(WARM_UP + repeats, desc=label, unit="round", disable=None):
        for name, predict in predictors.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            decode(predict(image), spec)
            if turn >= WARM_UP:
                wall[name].append((time.perf_counter() - start) * 1e3)
                cpu[name].append((time.process_time() - start_cpu) * 1e3)
    return {
        name: Timing(
            threads=threads,
            min_ms=float(np.min(values)),
            median_ms=float(np.median(values)),
            p95_ms=float(np.percentile(values, 95)),
            cpu_ms=float(np.median(cpu[name])),
        )
        for name, values in wall.items()
    }
