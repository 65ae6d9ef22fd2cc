"""The whole way from a camera frame to a scene."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock

import numpy as np

from points2objects.bundle import Bundle
from points2objects.camera import Camera
from points2objects.errors import InputError
from points2objects.exemplars import ExemplarPack
from points2objects.geometry import ByteArray, IntArray
from points2objects.interpreter import Interpreter
from points2objects.place import estimate_up, peak_pixels
from points2objects.plausible import doubt_of_intrinsics
from points2objects.preprocess import check_image, map_pixels, pixel_map
from points2objects.scales import check_scales, each_once, look
from points2objects.scene import UNTRACKED, Detections, Scene, check_timestamp
from points2objects.settle import Placed, of_known_size, one_reading_each, settle
from points2objects.track import KEEPING, Tracker

log = logging.getLogger(__name__)

ASSUMED_FOV_DEG = 65.0
"""Field of view across the longer side that a frame without a camera gets: a phone's main lens."""


class Reconstructor:
    """Turns frames into scenes; holds the loaded network and the tracks of the session.

    Threads may share one: calls then take effect one after another. For frames at the same time,
    give each thread its own; `bundle` may be shared.
    """

    def __init__(
        self,
        bundle: Bundle,
        threads: int = 1,
        score_threshold: float | None = None,
        tracker: Tracker | None = None,
        scales: Sequence[float] = (1.0,),
    ) -> None:
        """Prepare a bundle's network.

        Args:
            bundle: The model and its exemplars.
            threads: CPU threads of the interpreter.
            score_threshold: Least score of an object, 0..1; when None the bundle's own, which may
                differ from class to class.
            tracker: Gives ids to objects over posed frames; none when None.
            scales: Looks at each picture that has no pose, by how much each enlarges it; see
                `points2objects.scales`. Each takes the network's time once more.

        Raises:
            InputError: `threads`, `score_threshold` or `scales` is out of range.
            BundleError: The network does not fit the bundle's spec.
        """
        if threads < 1:
            raise InputError(f"threads must be at least 1, got {threads}")
        if score_threshold is not None and not 0 <= score_threshold <= 1:
            raise InputError(f"score_threshold must be in 0..1, got {score_threshold}")
        self.bundle = bundle
        self.score_threshold = score_threshold
        self._interpreter = Interpreter(bundle.model, bundle.spec, threads)
        self._tracker = tracker
        self._doubts: set[str] = set()
        # The interpreter keeps its tensors, and the tracker its tracks, from one step to the next.
        self._lock = Lock()
        self._scales = check_scales(scales, bundle.spec)

    @classmethod
    def load(
        cls,
        path: Path | str | None = None,
        threads: int = 1,
        score_threshold: float | None = None,
        track: bool = True,
        trusted: bool = False,
        scales: Sequence[float] = (1.0,),
    ) -> "Reconstructor":
        """Load a bundle folder.

        Args:
            path: The folder; the default bundle of the package when None.
            threads: CPU threads of the interpreter.
            score_threshold: Least score of an object, 0..1; when None the bundle's own, which may
                differ from class to class.
            track: Keep ids on objects over frames with poses.
            trusted: Run a model from elsewhere without trying it first; see `Bundle.load`.
            scales: Looks at each picture that has no pose, by how much each enlarges it:
                `(0.7, 1.0)` finds more in single photographs, in twice the time.

        Raises:
            BundleError: The bundle is missing, damaged or mixed, or its model failed its trial.
        """
        bundle = Bundle.load(path, trusted)
        tracker = Tracker() if track else None
        return cls(bundle, threads, score_threshold, tracker, scales)

    @property
    def exemplars(self) -> ExemplarPack:
        """The shapes that scenes are made of."""
        return self.bundle.exemplars

    def reset(self) -> None:
        """Forget the tracks, when a new session begins."""
        with self._lock:
            if self._tracker is not None:
                self._tracker.reset()

    def __call__(
        self, image: ByteArray, camera: Camera | None = None, timestamp_ns: int = 0
    ) -> Scene:
        """Reconstruct the objects in one frame.

        Args:
            image: (h, w, 3) uint8 RGB.
            camera: The frame's camera. With a pose, boxes are in the session's world, metres.
                Without one, gravity is estimated from the image and the world is the level frame,
                its unit the camera's height. None assumes `ASSUMED_FOV_DEG`.
            timestamp_ns: Time of the frame, kept in the scene; tracks heed it.

        Raises:
            InputError: The image is not RGB uint8 or not of the camera's size, or the time stamp
                is no whole number.
        """
        check_image(image, camera)
        timestamp_ns = check_timestamp(timestamp_ns)
        if camera is None:
            camera = Camera.from_fov(ASSUMED_FOV_DEG, image.shape[1], image.shape[0])
        with self._lock:
            return self._reconstruct(image, camera, timestamp_ns)

    def _reconstruct(self, image: ByteArray, camera: Camera, timestamp_ns: int) -> Scene:
        metric = camera.world_from_camera is not None
        self._say_doubt(camera)
        spec = self.bundle.spec
        usual = np.array(spec.least_scores)
        if self.score_threshold is not None:
            usual = np.full(len(spec.classes), self.score_threshold)
        tracker = self._tracker if metric else None
        least = usual if tracker is None else KEEPING * usual
        # A session looks again with the next frame.
        scales = (1.0,) if metric else self._scales
        looked = look(image, camera, spec, self._interpreter.run, least, scales)
        peaks, canonical = looked.peaks, looked.camera
        if not metric:
            up = estimate_up(peaks)
            # Without a pose the view is not turned, so both cameras see the same up.
            camera, canonical = camera.with_gravity(up), canonical.with_gravity(up)
        if len(scales) > 1:
            peaks = each_once(looked, canonical, spec)
        placed = settle(peaks, canonical, spec)
        if metric:
            placed = of_known_size(placed, canonical, spec)
        placed = one_reading_each(placed)
        detections = self._detections(placed, camera, canonical)
        track_id: IntArray = np.full(len(detections), UNTRACKED, dtype=np.int64)
        if tracker is not None:
            track_id = tracker.update(detections, usual[detections.class_id], timestamp_ns)
            known = track_id != UNTRACKED
            detections, track_id = detections[known], track_id[known]
            seen = tracker.recall(detections, track_id)
            center = camera.project(seen.boxes.translation)[:, :2]
            detections = replace(seen, center=center)
        return Scene(
            detections,
            tuple(spec.classes[index] for index in detections.class_id),
            track_id,
            camera,
            self.bundle.exemplars.meshes,
            timestamp_ns,
            metric,
        )

    def _say_doubt(self, camera: Camera) -> None:
        """Log, once, that a camera looks as if it belonged to another picture."""
        doubt = doubt_of_intrinsics(camera)
        if doubt is not None and doubt not in self._doubts:
            self._doubts.add(doubt)
            log.warning("%s", doubt)

    def _detections(self, placed: Placed, camera: Camera, canonical: Camera) -> Detections:
        peaks, spec = placed.peaks, self.bundle.spec
        frame_from_canonical = pixel_map(camera, canonical)
        return Detections(
            placed.boxes.transformed(canonical.world_from_level()),
            peaks.class_id,
            peaks.exemplar_id,
            peaks.score,
            map_pixels(frame_from_canonical, peak_pixels(peaks, spec)),
        )
