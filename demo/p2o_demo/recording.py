"""Posed recordings: folders of pictures whose cameras are known.

Two layouts are read: `session.json`, the project's own (`p2o_demo.session`), and `K.txt` with
`poses.txt` (`p2o_demo.pose_folder`).
"""

from pathlib import Path

from p2o_demo.config import CaptureOptions
from p2o_demo.listing import LeftOut
from p2o_demo.pose_folder import read_pose_folder
from p2o_demo.posed import PosedPicture
from p2o_demo.session import SESSION_NAME, read_session


def is_recording(folder: Path) -> bool:
    """Tell whether a folder is a posed recording rather than a mere folder of pictures."""
    return any((folder / name).is_file() for name in (SESSION_NAME, "K.txt", "poses.txt"))


def read_recording(
    folder: Path, options: CaptureOptions, left_out: LeftOut | None = None
) -> list[PosedPicture]:
    """Read a posed recording of either layout, pictures in order.

    Frames that cannot be used are left out with a line, and counted.

    Raises:
        InputError: A file is missing or malformed, nothing tells where the plane is, or no frame
            can be used.
    """
    left_out = left_out or LeftOut()
    if (folder / SESSION_NAME).is_file():
        return read_session(folder / SESSION_NAME, left_out)
    return read_pose_folder(folder, options, left_out)
