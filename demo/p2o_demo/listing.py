"""Which files of a folder are frames, and in which order.

Numbers in names count as numbers: 2 comes before 10, whether or not it is written 02.
"""

import itertools
import logging
import re
from pathlib import Path

from p2o_demo.names import displayed
from p2o_demo.pictures import PICTURE_SUFFIXES
from points2objects.errors import InputError

log = logging.getLogger(__name__)

NaturalKey = tuple[str | int, ...]

_BESIDE_FRAMES = re.compile(
    r"(?:^|[^a-z])(depth|depthmap|disparity|conf|confidence|mask|thumb|thumbnail|normal|normals|"
    r"semantic|segmentation|label|labels)(?:$|[^a-z])",
    re.IGNORECASE,
)
"""Words in the names of pictures that scanners write beside each frame."""


class LeftOut:
    """Says which frames are left out and why: the first ones in a line each, then only counts."""

    MOST_LINES = 10

    def __init__(self) -> None:
        """Start with none."""
        self.count = 0
        self.first: InputError | None = None

    def add(self, reason: InputError) -> None:
        """Leave one frame out."""
        self.count += 1
        self.first = self.first or reason
        if self.count <= self.MOST_LINES:
            log.warning("left out: %s", reason)
        if self.count == self.MOST_LINES:
            log.warning("more that are left out are counted, not listed")


def list_pictures(folder: Path) -> list[Path]:
    """Return the pictures of a folder in natural order, without those of its sub-folders.

    Hidden files and the depths, masks and thumbnails that scanners put beside their frames are
    no pictures to look at.

    Raises:
        InputError: There is none.
    """
    pictures = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
    ]
    pictures.sort(key=lambda path: (natural_key(path.stem), path.name))
    frames = _without_companions(folder, pictures)
    if not frames:
        raise InputError(f"{displayed(folder)}: holds no pictures{_where_else(folder)}")
    return frames


def _without_companions(folder: Path, pictures: list[Path]) -> list[Path]:
    """Take out what a scanner wrote beside its frames: by name, numbered, and not all there is."""
    beside = [
        path
        for path in pictures
        if _BESIDE_FRAMES.search(path.stem) and re.search(r"\d", path.stem)
    ]
    if not beside or len(beside) == len(pictures):
        return pictures
    log.warning(
        "%s: %d pictures are no frames by their names, and are left out: %s",
        displayed(folder),
        len(beside),
        ", ".join(displayed(path.name) for path in beside[:3]) + (", ..." if beside[3:] else ""),
    )
    gone = set(beside)
    return [path for path in pictures if path not in gone]


def _where_else(folder: Path) -> str:
    """Say which sub-folders hold pictures, or else which files are pictures."""
    inside = sorted(
        child.name
        for child in folder.iterdir()
        if child.is_dir() and any(p.suffix.lower() in PICTURE_SUFFIXES for p in child.iterdir())
    )
    if inside:
        shown = ", ".join(displayed(name) for name in inside[:4])
        return f" itself; pass the one you mean of its sub-folders: {shown}"
    return f" ({', '.join(PICTURE_SUFFIXES[:11])}); pass a folder with some"


def natural_key(name: str) -> NaturalKey:
    """Return what to sort names by, so that numbers in them count as numbers.

    Text and numbers take turns, so that keys of any two names can be compared.
    """
    parts = re.split(r"(\d+)", name.casefold())
    return tuple(int(part) if index % 2 else part for index, part in enumerate(parts))


def in_order_of_poses(pictures: list[Path]) -> list[Path]:
    """Return pictures in the order that rows of a table belong to.

    Raises:
        InputError: Their names do not tell it: a wrong guess would give them foreign poses.
    """
    keys = [natural_key(path.stem) for path in pictures]
    ordered = sorted(zip(keys, pictures, strict=True))
    for (key, one), (next_key, other) in itertools.pairwise(ordered):
        if key == next_key:
            raise InputError(
                f"{displayed(one.parent)}: {displayed(one.name)} and {displayed(other.name)} have "
                "the same number, so which row of poses.txt is whose is a guess; rename one"
            )
    natural = [path for _, path in ordered]
    by_text = sorted(pictures, key=lambda path: path.name)
    if natural != by_text and not (_one_series(keys) and not _is_decimal(pictures)):
        raise InputError(
            f"{displayed(pictures[0].parent)}: the order of the pictures' names is a guess "
            f"({_first_difference(natural, by_text)}); give their numbers the same width, with "
            "zeros in front"
        )
    return natural


def _one_series(keys: list[NaturalKey]) -> bool:
    """Tell whether names differ in their numbers alone."""
    return len({key[::2] for key in keys}) == 1


def _is_decimal(pictures: list[Path]) -> bool:
    """Tell whether names hold decimals of several lengths: then 1.5 may come after 1.25."""
    fractions = [re.findall(r"\d\.(\d+)", path.stem) for path in pictures]
    return len({tuple(map(len, found)) for found in fractions}) > 1


def _first_difference(natural: list[Path], by_text: list[Path]) -> str:
    one, other = next(pair for pair in zip(natural, by_text, strict=True) if pair[0] != pair[1])
    return f"{displayed(one.name)} or {displayed(other.name)}"
