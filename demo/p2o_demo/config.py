"""Options of `demo/camera.py`."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from points2objects.errors import InputError
from points2objects.pipeline import ASSUMED_FOV_DEG

WorldUp = Literal["+x", "-x", "+y", "-y", "+z", "-z"]
"""The axis of a recording's world that points against gravity."""


@dataclass(frozen=True)
class CaptureOptions:
    """What the frames alone do not say.

    Attributes:
        fov_deg: Field of view across the longer side of pictures and videos without a pose.
        world_up: Up axis of a pose folder's world.
        support_height: Height of the support plane along that axis, m; None when unknown.
        heed_exif: A picture's EXIF data goes before `fov_deg`.
    """

    fov_deg: float
    world_up: WorldUp
    support_height: float | None
    heed_exif: bool = False


@dataclass(frozen=True)
class DemoConfig:
    """Options of the command."""

    source: str
    """Webcam number, video file, picture, folder of pictures, folder of a posed recording, or
    address (http, https, rtsp, rtsps) of a network camera."""

    bundle: Path | None = None
    """Bundle folder; the one inside the package by default."""

    out: Path = Path("demo_output")
    """Folder for overlays, scenes.jsonl and scene.glb."""

    fov_deg: float | None = None
    """Field of view across the longer image side, for sources without intrinsics; by default what
    a picture's EXIF data says, or else 65 degrees, a phone's main lens."""

    world_up: WorldUp = "+y"
    """Up axis of the world of a K.txt/poses.txt folder that does not say so (`--world-up=-z`)."""

    support_height: float | None = None
    """Height of the plane the objects stand on, m, for a K.txt/poses.txt folder that does not."""

    score: float | None = None
    """Drop objects below this score; the model's own threshold by default."""

    scales: tuple[float, ...] = (1.0,)
    """Looks at each frame that has no pose, by how much each enlarges it: 0.7 1 finds more in
    single pictures, in twice the time."""

    max_frames: int | None = None
    """Stop after this many frames."""

    threads: int = 2
    """Threads of the interpreter."""

    window: bool = True
    """Show the overlays where there is a screen."""

    overwrite: bool = False
    """Replace the output of an earlier run."""

    verbose: bool = False
    """Show the traceback of a failure."""

    def __post_init__(self) -> None:
        if self.fov_deg is not None and not 1 < self.fov_deg < 179:
            raise InputError(f"--fov-deg must be in 1..179, got {self.fov_deg}")
        if self.score is not None and not 0 <= self.score <= 1:
            raise InputError(f"--score must be in 0..1, got {self.score}")
        if self.support_height is not None and not math.isfinite(self.support_height):
            raise InputError(f"--support-height must be a number, got {self.support_height}")
        if self.max_frames is not None and self.max_frames < 1:
            raise InputError(f"--max-frames must be at least 1, got {self.max_frames}")
        if self.threads < 1:
            raise InputError(f"--threads must be at least 1, got {self.threads}")

    @property
    def capture(self) -> CaptureOptions:
        """The part of the options that the capture needs."""
        fov_deg = ASSUMED_FOV_DEG if self.fov_deg is None else self.fov_deg
        return CaptureOptions(fov_deg, self.world_up, self.support_height, self.fov_deg is None)
