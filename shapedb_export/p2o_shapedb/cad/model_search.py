"""Find the models in a folder as people keep them: in subfolders, beside other formats."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from points2objects.errors import InputError

EXTENSIONS = (".glb", ".gltf", ".obj", ".ply", ".off", ".stl")
"""Formats that are read."""

_TO_CONVERT = (
    *(".fbx", ".dae", ".blend", ".3ds", ".max", ".ma", ".mb", ".c4d", ".skp", ".lwo", ".x", ".abc"),
    *(".usd", ".usda", ".usdc", ".usdz", ".wrl", ".x3d", ".vrm", ".3mf", ".amf", ".3dm", ".rvt"),
    *(".step", ".stp", ".iges", ".igs", ".brep", ".sldprt", ".ipt", ".f3d", ".dwg", ".dxf"),
)
_TO_UNPACK = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz")
_SPLATS = (".splat", ".ksplat", ".spz", ".sog")
_MOST_FOLDERS = 100_000


def walk(folder: Path) -> Iterator[Path]:
    """Yield what lies in a folder and its subfolders, sorted: files, and models that are none.

    Hidden files, which are most often macOS's ("._chair.glb", "__MACOSX"), are passed over; links
    are followed, each folder once.

    Raises:
        InputError: A folder cannot be listed.
    """
    waiting, seen = [folder], set[tuple[int, int]]()
    while waiting:
        path = waiting.pop()
        if path != folder and (path.suffix.lower() in EXTENSIONS or not path.is_dir()):
            yield path
            continue
        try:
            place = (path.stat().st_dev, path.stat().st_ino)
            names = sorted(path.iterdir(), reverse=True) if place not in seen else []
        except OSError as error:
            raise InputError(f"{path}: cannot be listed ({error.strerror})") from error
        seen.add(place)
        if len(seen) > _MOST_FOLDERS:
            raise InputError(f"{folder}: has more than {_MOST_FOLDERS} folders")
        waiting += [one for one in names if one.name[:1] != "." and one.name != "__MACOSX"]


def unread_line(root: Path, paths: Iterable[Path]) -> str:
    """Return one line about models of other formats among some files; empty if there are none."""
    suffixes = [path.suffix.lower() for path in paths if path.is_file()]
    counts = Counter(s for s in suffixes if s in (*_TO_CONVERT, *_TO_UNPACK, *_SPLATS))
    if not counts:
        return ""
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(counts.items()))
    cures = [
        (_TO_CONVERT, "convert models to .glb, e.g. with Blender"),
        (_TO_UNPACK, "unpack archives"),
        (_SPLATS, "splats hold no triangles"),
    ]
    advice = "; ".join(text for group, text in cures if counts.keys() & set(group))
    number = sum(counts.values())
    return f"{root}: {number} files of other formats not read ({kinds}); {advice}"


def alike_folders(root: Path, class_name: str) -> tuple[str, ...]:
    """List folders that were probably meant for a class: "Chair", "chairs", " chair"."""
    wanted = _plain(class_name)
    names = sorted(path.name for path in root.iterdir() if path.is_dir())
    forms = (wanted, f"{wanted}s", f"{wanted}es")
    return tuple(name for name in names if name != class_name and _plain(name) in forms)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())
