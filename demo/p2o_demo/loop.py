"""The demo itself: every frame through the model, its overlay and scene to disk and screen."""

import itertools
import json
import logging
import signal
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from p2o_demo import viewer
from p2o_demo.capture import Capture, Frame, open_source
from p2o_demo.config import DemoConfig
from p2o_demo.names import displayed, user_path
from p2o_demo.output import SCENE_GLB_NAME, SCENES_NAME, OverlayWriter, output_folder
from p2o_demo.overlay import draw_scene
from p2o_demo.quiet import quiet_stderr
from p2o_demo.stopping import Stopped, exit_code, noting
from points2objects.errors import InputError
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
        n_left_out: Frames that could not be used.
        stopped_by: Number of the signal that ended the run before its source; None for none.
    """

    out: Path
    n_frames: int
    n_objects: int
    overlays: str
    posed: bool
    n_left_out: int = 0
    stopped_by: int | None = None

    def __str__(self) -> str:
        unit = "metres" if self.posed else "camera heights: no pose was given"
        out = displayed(self.out)
        left_out = f", {self.n_left_out} left out" if self.n_left_out else ""
        stopped = "stopped early; " if self.stopped_by is not None else ""
        return (
            f"{stopped}wrote {out} ({self.n_frames} frames{left_out}, {self.n_objects} objects, "
            f"lengths in {unit}); open {out}/{self.overlays} and {out}/{SCENE_GLB_NAME}"
        )

    @property
    def exit_code(self) -> int:
        """0, or what tells which signal ended the run early."""
        return 0 if self.stopped_by is None else exit_code(self.stopped_by)


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
    bundle = None if config.bundle is None else user_path(config.bundle)
    with output_folder(user_path(config.out), config.overwrite) as folder:
        # TensorFlow Lite announces its delegate; what Python logs has no colon there.
        with quiet_stderr("INFO: "):
            model = Reconstructor.load(bundle, config.threads, config.score, scales=config.scales)
        summary = reconstruct(capture, model, config, folder, window)
    return summary


def reconstruct(
    capture: Capture, model: Reconstructor, config: DemoConfig, folder: Path, window: bool
) -> Summary:
    """Write what the model makes of each frame into `folder`.

    Ctrl-C or SIGTERM ends the run after the frame in hand, and keeps what is done; Ctrl-C is a
    live source's usual end.

    Raises:
        InputError: No frame can be used.
        KeyboardInterrupt: The run was stopped before its first frame was done.
    """
    fullest: Scene | None = None
    n_frames = n_objects = 0
    with ExitStack() as stack:
        overlays = OverlayWriter(folder, capture.fps)
        stack.callback(overlays.close)
        lines = stack.enter_context((folder / SCENES_NAME).open("w", encoding="utf-8"))
        if window:
            stack.callback(viewer.close)
        stop = stack.enter_context(noting())
        try:
            for frame in _progress(capture, config.max_frames):
                try:
                    scene = model(frame.image, frame.camera, frame.timestamp_ns)
                    overlay = draw_scene(frame.image, scene)
                    name = overlays.write(frame.name, overlay)
                except InputError as error:
                    capture.left_out.add(InputError(f"frame {frame.name}: {error}"))
                else:
                    record = {"frame": name, **scene.to_dict()}
                    lines.write(json.dumps(record, allow_nan=False) + "\n")
                    n_frames, n_objects = n_frames + 1, n_objects + len(scene)
                    if fullest is None or len(scene) >= len(fullest):
                        fullest = scene
                    if window and not viewer.show(overlay):
                        break
                if stop.number is not None:
                    break
        except KeyboardInterrupt:
            stop.number = stop.number or signal.SIGINT
        if fullest is None:
            raise _nothing_done(capture, stop.number)
        name = overlays.close()
    fullest.save_glb(folder / SCENE_GLB_NAME)
    live_end = capture.live and stop.number == signal.SIGINT
    return Summary(
        user_path(config.out),
        n_frames,
        n_objects,
        name,
        capture.posed,
        capture.left_out.count,
        None if live_end else stop.number,
    )


def _nothing_done(capture: Capture, stopped_by: int | None) -> BaseException:
    if stopped_by is not None:
        return Stopped(stopped_by)
    assert capture.left_out.first is not None, "a source yields at least one frame"
    return InputError(f"no frame can be used; the first: {capture.left_out.first}")


def _progress(capture: Capture, max_frames: int | None) -> Iterable[Frame]:
    """Return the frames under a progress bar."""
    counts = [count for count in (capture.count, max_frames) if count is not None]
    total = min(counts) if counts else None
    frames = itertools.islice(capture.frames, max_frames)
    bar: Iterable[Frame] = tqdm(frames, total=total, unit="frame", disable=None)
    return bar
