"""The pinhole camera, where it stands, and the level frame it defines.

Camera axes are OpenCV's: x right, y down, z forward. Pixel (0, 0) is the image's top-left corner,
so the centre of the first pixel is (0.5, 0.5).
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from points2objects.errors import InputError, check_shape
from points2objects.geometry import (
    FloatArray,
    is_rotation,
    project_to_so3,
    rigid,
    transform_points,
)

OPENCV_FROM_OPENGL: FloatArray = np.diag([1.0, -1.0, -1.0, 1.0])

LEAST_FOV_DEG, MOST_FOV_DEG = 1.0, 179.0
"""Field of view across the longer side: beyond, K is in another unit, and resampling never ends."""
MOST_M, LEAST_HEIGHT_M = 1e9, 1e-6
"""Beyond, numbers overflow on their way to a scene: m from the origin, m above the plane."""


@dataclass(frozen=True, eq=False)
class Camera:
    """Intrinsics of one image and, in an AR session, the pose and the support plane.

    Attributes:
        K: (3, 3), pixels; no skew.
        width: Image width, px.
        height: Image height, px.
        world_from_camera: (4, 4), rigid, metres, world +y up; None when no session knows it.
        support_height: Height of the plane the objects stand on in the world, m.
    """

    K: FloatArray
    width: int
    height: int
    world_from_camera: FloatArray | None = None
    support_height: float = 0.0

    def __post_init__(self) -> None:
        # A copy in float64, so that lists are welcome and later edits by the caller do no harm.
        object.__setattr__(self, "K", np.array(self.K, dtype=float))
        check_shape("K", self.K, "3 3")
        if not (np.isfinite(self.K).all() and self.K[0, 0] > 0 and self.K[1, 1] > 0):
            raise InputError(f"camera: focal lengths must be positive, got K = {self.K.tolist()}")
        if self.K[0, 1] != 0 or self.K[1, 0] != 0 or not np.array_equal(self.K[2], [0, 0, 1]):
            raise InputError(f"camera: K must be [fx 0 cx; 0 fy cy; 0 0 1], got {self.K.tolist()}")
        if self.width < 1 or self.height < 1:
            raise InputError(f"camera: image size must be positive, got {self.width}x{self.height}")
        self._check_view()
        if self.world_from_camera is not None:
            self._check_pose(np.array(self.world_from_camera, dtype=float))

    def _check_view(self) -> None:
        """Check that K can belong to a picture of this size, of which only a crop is off-centre."""
        (fx, _, cx), (_, fy, cy), _ = self.K.tolist()
        if not (0 <= cx <= self.width and 0 <= cy <= self.height):
            raise InputError(
                f"camera: the principal point ({cx:g}, {cy:g}) lies outside of the picture, "
                f"{self.width}x{self.height}; scale K as the picture was scaled"
            )
        half = max(self.width, self.height) / 2
        for f in (fx, fy):
            fov_deg = 2 * math.degrees(math.atan2(half, f))
            if not LEAST_FOV_DEG < fov_deg < MOST_FOV_DEG:
                raise InputError(
                    f"camera: a focal length of {f:g} px gives a picture of {self.width}x"
                    f"{self.height} a field of view of {fov_deg:.3g} degrees; expected 1..179"
                )

    def _check_pose(self, pose: FloatArray) -> None:
        check_shape("world_from_camera", pose, "4 4")
        if not (np.isfinite(pose).all() and np.isfinite(self.support_height)):
            raise InputError(
                "camera: world_from_camera and support_height must be finite; frames in which "
                "tracking was lost have no pose: leave them out, or pass them without one"
            )
        if not is_rotation(pose[:3, :3], tolerance=1e-3) or not np.array_equal(
            pose[3], [0, 0, 0, 1]
        ):
            raise InputError(
                "camera: world_from_camera must be rigid (rotation, translation); a matrix stored "
                "row by row, with the translation in its last row, must be transposed"
            )
        if max(float(np.abs(pose[:3, 3]).max()), abs(self.support_height)) > MOST_M:
            raise InputError(
                f"camera: the pose or the support plane lies more than {MOST_M:g} m from the "
                "world's origin; pass metres"
            )
        if not pose[1, 3] - self.support_height > LEAST_HEIGHT_M:
            raise InputError(
                f"camera: stands at height {pose[1, 3]:.3f} m, not above the support plane at "
                f"{self.support_height:.3f} m; pass that plane's height as support_height"
            )
        if not is_rotation(pose[:3, :3], tolerance=1e-9):
            # Poses come in float32 or as printed digits; boxes are checked more strictly.
            pose[:3, :3] = project_to_so3(pose[:3, :3])
        object.__setattr__(self, "world_from_camera", pose)

    @classmethod
    def from_fov(cls, fov_deg: float, width: int, height: int) -> "Camera":
        """Make a camera without a pose from the field of view across the longer image side."""
        if not LEAST_FOV_DEG < fov_deg < MOST_FOV_DEG:
            raise InputError(f"camera: field of view must be in 1..179 degrees, got {fov_deg}")
        f = max(width, height) / 2 / np.tan(np.radians(fov_deg) / 2)
        K = np.array([[f, 0, width / 2], [0, f, height / 2], [0, 0, 1.0]])
        return cls(K, width, height)

    @classmethod
    def from_arkit(
        cls, K: FloatArray, width: int, height: int, transform: FloatArray, support_height: float
    ) -> "Camera":
        """Make a camera from ARKit's `camera.intrinsics` and `camera.transform` (column vectors).

        Image and pose are the landscape sensor's. ARKit's camera axes are OpenGL's.
        """
        pose = np.asarray(transform, dtype=float)
        check_shape("transform", pose, "4 4")
        world_from_camera = pose @ OPENCV_FROM_OPENGL
        return cls(np.asarray(K, dtype=float), width, height, world_from_camera, support_height)

    @classmethod
    def from_arcore(
        cls, K: FloatArray, width: int, height: int, transform: FloatArray, support_height: float
    ) -> "Camera":
        """Make a camera from ARCore's `getImageIntrinsics` and `getPose().toMatrix` (4, 4).

        Use the pose of the physical camera, not the display-oriented one: the intrinsics are the
        sensor's. Its axes are OpenGL's, like ARKit's.
        """
        return cls.from_arkit(K, width, height, transform, support_height)

    @property
    def up_camera(self) -> FloatArray:
        """Unit vector against gravity in the camera frame, (3,)."""
        return np.asarray(self.pose[:3, :3].T @ np.array([0.0, 1.0, 0.0]))

    @property
    def pose(self) -> FloatArray:
        """`world_from_camera`, (4, 4).

        Raises:
            InputError: No session gave a pose; see `with_gravity`.
        """
        if self.world_from_camera is None:
            raise InputError("camera: has no pose; call with_gravity or pass world_from_camera")
        return self.world_from_camera

    @property
    def height_above_support(self) -> float:
        """Height of the camera over the support plane, m: the level frame's unit of length."""
        return float(self.pose[1, 3] - self.support_height)

    def with_gravity(self, up_camera: FloatArray) -> "Camera":
        """Place the camera at height 1 over a plane at 0, given the up direction it sees, (3,).

        The world is then the level frame itself: heading -z, unit of length the camera's height.
        """
        pose = rigid(level_from_up(up_camera), np.array([0.0, 1.0, 0.0]))
        return replace(self, world_from_camera=pose, support_height=0.0)

    def level_rotation(self) -> FloatArray:
        """Return the rotation part of `level_from_camera`, (3, 3): pitch and roll only."""
        return level_from_up(self.up_camera)

    def world_from_level(self) -> FloatArray:
        """Return the similarity, (4, 4), from the level frame (camera heights) to metres."""
        yaw = self.pose[:3, :3] @ self.level_rotation().T
        origin = np.array([self.pose[0, 3], self.support_height, self.pose[2, 3]])
        return rigid(yaw * self.height_above_support, origin)

    def level_from_world(self) -> FloatArray:
        """Return the inverse of `world_from_level`, (4, 4)."""
        return np.asarray(np.linalg.inv(self.world_from_level()))

    def rays_camera(self, pixels: FloatArray) -> FloatArray:
        """Return unit viewing directions in the camera frame, (n, 3), of pixels (n, 2)."""
        x = (pixels[..., 0] - self.K[0, 2]) / self.K[0, 0]
        y = (pixels[..., 1] - self.K[1, 2]) / self.K[1, 1]
        rays = np.stack([x, y, np.ones_like(x)], axis=-1)
        return np.asarray(rays / np.linalg.norm(rays, axis=-1, keepdims=True))

    def project(self, points_world: FloatArray) -> FloatArray:
        """Project world points (..., 3) to (..., 3): pixel x, pixel y, depth z in m.

        Points at or behind the camera get NaN pixels.
        """
        camera_from_world = np.linalg.inv(self.pose)
        points = transform_points(camera_from_world, points_world)
        depth = points[..., 2]
        safe = np.where(depth > 1e-9, depth, np.nan)
        x = self.K[0, 0] * points[..., 0] / safe + self.K[0, 2]
        y = self.K[1, 1] * points[..., 1] / safe + self.K[1, 2]
        return np.stack([x, y, depth], axis=-1)


def level_from_up(up_camera: FloatArray) -> FloatArray:
    """Return the rotation `level_from_camera`, (3, 3), from the up direction in the camera frame.

    +y is up, -z the viewing direction laid flat. A camera that looks straight down or up has no
    such direction; the top edge of its image then takes its place.
    """
    norm = float(np.linalg.norm(up_camera))
    if not np.isfinite(norm) or norm < 1e-9:
        raise InputError(f"camera: up direction must be a finite, non-zero vector, got {up_camera}")
    y = np.asarray(up_camera, dtype=float) / norm
    forward = np.array([0.0, 0.0, 1.0])
    if abs(y[2]) > 1 - 1e-6:
        forward = np.array([0.0, -1.0, 0.0])
    back = -(forward - (forward @ y) * y)
    z = back / np.linalg.norm(back)
    return np.stack([np.cross(y, z), y, z])


def canonical_camera(camera: Camera, fov_deg: float, size_px: int) -> Camera:
    """Return the square view that the network is made for: same place, one field of view, level.

    The optical axis stays. With a known pose the view is turned about it until gravity points
    down the image, so that a phone in any grip gives an upright picture.

    Args:
        camera: The camera of the frame.
        fov_deg: Field of view across the square.
        size_px: Side of the square.
    """
    canonical = Camera.from_fov(fov_deg, size_px, size_px)
    if camera.world_from_camera is None:
        return canonical
    up_x, up_y, _ = camera.up_camera
    roll = np.arctan2(up_x, -up_y) if np.hypot(up_x, up_y) > 0.1 else 0.0
    cos, sin = np.cos(roll), np.sin(roll)
    # The view's own up, (0, -1, 0), must land on the frame's up, (sin, -cos, .).
    camera_from_canonical = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])
    pose = camera.world_from_camera @ rigid(camera_from_canonical, np.zeros(3))
    return replace(canonical, world_from_camera=pose, support_height=camera.support_height)
