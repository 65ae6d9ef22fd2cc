"""Noticing recordings of other apps, so that nobody takes camera heights for metres unawares."""

import re
from pathlib import Path

from p2o_demo.names import displayed

_OWN = re.compile(r"session\.json|poses\.txt")
_MARKS: tuple[tuple[str, str], ...] = (
    (r"odometry\.csv|camera_matrix\.csv", "Stray Scanner"),
    (r"transforms(_train|_test|_val)?\.json", "nerfstudio"),
    (r"mesh_info\.json|corrected_cameras|keyframes", "Polycam"),
    (r"metadata|rgbd|.*\.r3d", "Record3D"),
    (r"frame_\d+\.json", "3D Scanner App"),
    (r".*\.pose\.txt", "7-Scenes"),
    (r"groundtruth\.txt", "TUM RGB-D"),
    (r"intrinsic_color\.txt|intrinsic", "ScanNet"),
    (r".*\.traj|.*\.pincam|lowres_wide_intrinsics", "ARKitScenes"),
    (r"sparse|images\.(txt|bin)|cameras\.(txt|bin)", "COLMAP"),
    (
        r".*(pose|trajector|odometry|extrinsic).*\.(txt|json|csv|xml|npy|npz|yaml|yml|log)",
        "another app",
    ),
    (r"poses?|cameras|extrinsics?|cameras\.(json|xml|sfm)", "another app"),
)
"""Names of files and folders that hold poses, and whose they are; the first that fits counts."""


def pose_files(folder: Path, beside: bool = True) -> str | None:
    """Say which pose files lie in a folder of pictures or beside it; None if there are none."""
    for place in (folder, folder.absolute().parent) if beside else (folder,):
        names = _names(place)
        own = next((name for name in names if _OWN.fullmatch(name)), None)
        if own is not None and place != folder:
            return f"{displayed(place / own)} has poses; pass --source {displayed(place)} for them"
        found = _mark(names)
        if found is not None:
            name, app = found
            return (
                f"{displayed(place / name)} looks like poses of {app}, which are not read: without "
                "them lengths are camera heights; write a session.json (docs/architecture.md)"
            )
    return None


def _names(folder: Path) -> list[str]:
    try:
        return sorted(child.name for child in folder.iterdir())
    except OSError:
        return []


def _mark(names: list[str]) -> tuple[str, str] | None:
    for pattern, app in _MARKS:
        name = next((name for name in names if re.fullmatch(pattern, name, re.I)), None)
        if name is not None:
            return name, app
    return None
