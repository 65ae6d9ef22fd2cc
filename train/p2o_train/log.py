"""What a run tells while it goes on: metrics.jsonl, TensorBoard and how far it is."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from p2o_shapedb.progress import Progress
from p2o_train.checkpoint import METRICS
from p2o_train.machine import describe_machine


class RunLog:
    """Open files and the bar of one run; use it as a context manager.

    Args:
        folder: The run.
        first_step: Steps done before, by an earlier part of the run.
        last_step: Where the bar ends; None when time decides.
    """

    def __init__(self, folder: Path, first_step: int, last_step: int | None) -> None:
        self._metrics = (folder / METRICS).open("a", encoding="utf-8")
        self._board = SummaryWriter(str(folder), purge_step=first_step + 1)
        self._board.add_text("machine", describe_machine(), first_step)
        self._by_time = last_step is None
        self._shown = Progress("training", "step", last_step, first_step)

    def step(self, step: int, values: Mapping[str, float], progress: float) -> None:
        """Note one training step, after which the share `progress` of the run is done, 0..1."""
        self._write({"step": step, **values})
        self._scalars("train", step, values)
        if self._by_time:
            # How many steps will fit is a guess, but then it can be told when the run ends.
            self._shown.total = round(step / max(progress, 1e-6))
        self._shown.detail = f"loss {values['total']:.3f}"
        self._shown.update()

    def validation(self, step: int, values: Mapping[str, float]) -> None:
        """Note one validation."""
        self._write({"step": step, "validation": dict(values)})
        self._scalars("validation", step, values)

    def heatmaps(self, step: int, images: Tensor, scores: Tensor) -> None:
        """Show heat-maps, (b, c, h, w) in 0..1, in red over their images, (b, s, s, 3) uint8."""
        size = images.shape[1:3]
        best = torch.nn.functional.interpolate(scores.amax(dim=1, keepdim=True), size)
        red = torch.tensor([255.0, 0.0, 0.0])[None, :, None, None]
        shown = images.permute(0, 3, 1, 2) * (1 - best) + red * best
        self._board.add_images("heatmap", shown.to(torch.uint8), step)

    def boxes(self, step: int, pictures: Tensor) -> None:
        """Show validation images with predicted over true boxes, (b, h, w, 3) uint8."""
        self._board.add_images("boxes", pictures, step, dataformats="NHWC")

    def __enter__(self) -> "RunLog":
        self._shown.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._metrics.close()
        self._board.close()
        self._shown.__exit__(kind, error, trace)

    def _write(self, values: Mapping[str, object]) -> None:
        self._metrics.write(json.dumps(values) + "\n")
        self._metrics.flush()

    def _scalars(self, group: str, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._board.add_scalar(f"{group}/{name}", value, step)
