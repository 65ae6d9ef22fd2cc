"""What is allowed but hardly meant: cameras that belong to another picture, unit or convention.

Nothing here is refused by the library: a crop of a picture has its principal point anywhere, and a
camera may look at the ceiling. An app, like the demo, says these lines to whoever can mend them.
"""

from collections.abc import Sequence

import numpy as np

from points2objects.camera import Camera

OFF_CENTER = 0.15
"""Principal points are nearer to the middle than this share of half a side, unless cropped."""
SAME_RATIO = 0.05
"""Two ratios that differ less are the same one."""
MOST_HEIGHT_M, LEAST_HEIGHT_M = 20.0, 0.02
"""Heights of a hand-held camera over what objects stand on, m."""


def doubt_of_intrinsics(camera: Camera) -> str | None:
    """Say whose K this looks like, if not this picture's; None where nothing is odd.

    A K of the same picture in another size has its principal point off the middle by one factor on
    both axes; a K of the picture before it was turned has it in the middle of the turned size.
    """
    cx, cy = camera.K[0, 2], camera.K[1, 2]
    width, height = camera.width, camera.height
    across, down = 2 * cx / width, 2 * cy / height
    if max(abs(across - 1), abs(down - 1)) < OFF_CENTER:
        return None
    size = f"this one is {width}x{height}"
    if abs(across - down) < SAME_RATIO * max(across, down):
        factor = (across + down) / 2
        return (
            f"K fits a picture of about {width * factor:.0f}x{height * factor:.0f}, and {size}; "
            f"multiply its first two rows by {1 / factor:.3g}, or pass the picture it was made for"
        )
    across, down = 2 * cx / height, 2 * cy / width
    if abs(across - down) < SAME_RATIO * max(across, down):
        return (
            f"K fits a picture of about {2 * cx:.0f}x{2 * cy:.0f}, and {size}: the picture was "
            "turned, but K and pose were not; pass the picture as the sensor saw it"
        )
    return None


def doubts_of_session(cameras: Sequence[Camera]) -> list[str]:
    """Say what is odd about the poses of a session, one line each; cameras without one are left."""
    posed = [camera for camera in cameras if camera.world_from_camera is not None]
    if not posed:
        return []
    doubts = []
    ahead = np.array([camera.pose[1, 2] for camera in posed])
    down = np.array([camera.pose[1, 1] for camera in posed])
    upside_down = (down > 0.5).all() and (ahead > -0.2).all()
    if (ahead > 0).all() or upside_down:
        doubts.append(
            "all cameras look away from the support plane: are the axes OpenGL's (y up, z "
            "backward)? then multiply each pose by diag(1, -1, -1, 1) from the right"
        )
    height = float(np.median([camera.height_above_support for camera in posed]))
    if height > MOST_HEIGHT_M:
        doubts.append(
            f"cameras stand {height:.4g} m above the support plane: are the poses in centimetres "
            "or millimetres? they must be in metres"
        )
    if height < LEAST_HEIGHT_M:
        doubts.append(
            f"cameras stand only {height:.2g} m above the support plane: is its height right, and "
            "are the poses in metres?"
        )
    return doubts
