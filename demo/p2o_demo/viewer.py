"""A window for the overlays, where there is a screen."""

import os
import sys

import cv2

from points2objects.geometry import ByteArray

TITLE = "points2objects (q to stop)"
QUIT_KEYS = (ord("q"), 27)


def can_open_window() -> bool:
    """Tell whether OpenCV was built with windows and a screen is there to hold them."""
    gui = [line for line in cv2.getBuildInformation().splitlines() if "GUI:" in line]
    if not gui or gui[0].split("GUI:")[1].strip() in ("", "NONE"):
        return False
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def show(overlay: ByteArray) -> bool:
    """Show an overlay, (h, w, 3) RGB; False when the user has asked to stop."""
    cv2.imshow(TITLE, cv2.cvtColor(overlay, cv2.COLOR_RGB2BGR))
    return (cv2.waitKey(1) & 0xFF) not in QUIT_KEYS


def close() -> None:
    """Close the window."""
    cv2.destroyAllWindows()
