"""The demo itself: every frame through the model, its overlay and scene to disk and screen."""

import itertools
import json
import logging
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from p2o_demo import viewer
from p2o_demo.capture import Capture, Frame, open_source
from p2o_demo.config import DemoConfig
from p2o_demo.output import SCENE_GLB_NAME, SCENES_NAME, OverlayWriter, output_folder
from p2o_demo.overlay import draw_scene
from p2o_demo.quiet import quiet_stderr
from points2objects.pipeline import Reconstructor
from points2objects.scene import Scene

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Summary:
    """What a run made.

    Attributes:
        out: The output folder.
        n_frames: Frames seen.
        n_objects: Objects found in all of them.
        overlays: Name of the overlays inside `out`.
        posed: Scenes are in metres.
    """

    out: Path
    n_frames: int
    n_objects: int
    overlays: str
    posed: bool

    def __str__(self) -> str:
        unit = "metres" if self.posed else "camera heights: no pose was given"
        return (
            f"wrote {self.out} ({self.n_frames} frames, {self.n_objects} objects, lengths in "
            f"{unit}); open {self.out}/{self.overlays} and {self.out}/{SCENE_GLB_NAME}"
        )


def run(config: DemoConfig) -> Summary:
    """Reconstruct every frame of the source and write overlays, scenes and the fullest scene.

    Raises:
        InputError: The source cannot be read, or the output folder may not be replaced.
        BundleError: The bundle is missing or inconsistent.
    """
    capture = open_source(config.source, config.capture)
    window = config.window and viewer.can_open_window()
    if config.window and not window:
        log.info("no screen, or OpenCV without windows: writing files only")
    with output_folder(config.out, config.overwrite) as folder:
        # TensorFlow Lite announces its delegate; what Python logs has no colon there.
        with quiet_stderr("INFO: "):
            model = Reconstructor.load(
                config.bundle, config.threads, config.score, scales=config.scales
            )
        summary = reconstruct(capture, model, config, folder, window)
    return summary


def reconstruct(
    capture: Capture, model: Reconstructor, config: DemoConfig, folder: Path, window: bool
) -> Summary:
    """Write what the model makes of each frame into `folder`; Ctrl-C is a live source's end."""
    fullest: Scene | None = None
    n_frames = n_objects = 0
    with ExitStack() as stack:
        overlays = OverlayWriter(folder, capture.fps)
        stack.callback(overlays.close)
        lines = stack.enter_context((folder / SCENES_NAME).open("w", encoding="utf-8"))
        if window:
            stack.callback(viewer.close)
        try:
            for frame in _progress(capture, config.max_frames):
                scene = model(frame.image, frame.camera, frame.timestamp_ns)
                overlay = draw_scene(frame.image, scene)
                overlays.write(frame.name, overlay)
                record = {"frame": frame.name, **scene.to_dict()}
                lines.write(json.dumps(record, allow_nan=False) + "\n")
                n_frames, n_objects = n_frames + 1, n_objects + len(scene)
                if fullest is None or len(scene) >= len(fullest):
                    fullest = scene
                if window and not viewer.show(overlay):
                    break
        except KeyboardInterrupt:
            if not capture.live or fullest is None:
                raise
        name = overlays.close()
    assert fullest is not None, "a source yields at least one frame"
    fullest.save_glb(folder / SCENE_GLB_NAME)
    return Summary(config.out, n_frames, n_objects, name, capture.posed)


def _progress(capture: Capture, max_frames: int | None) -> Iterable[Frame]:
    """Return the frames under a progress bar."""
    counts = [count for count in (capture.count, max_frames) if count is not None]
    total = min(counts) if counts else None
    frames = itertools.islice(capture.frames, max_frames)
    bar: Iterable[Frame] = tqdm(frames, total=total, unit="frame", disable=None)
    return bar
