"""What to import of labelled photographs, and what their makers call our classes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from points2objects.errors import InputError

SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "bottle": ("water bottle", "wine bottle", "beer bottle", "plastic bottle", "glass bottle"),
    "bowl": ("mixing bowl", "soup bowl", "salad bowl"),
    "chair": ("armchair", "office chair", "dining chair", "swivel chair"),
    "mug": ("cup", "coffee cup", "coffee mug", "tea cup", "teacup"),
    "sofa": ("couch", "loveseat", "settee", "sofa bed", "studio couch"),
    "table": ("dining table", "diningtable", "coffee table", "coffeetable", "desk", "side table",
              "kitchen & dining room table"),
}  # fmt: skip
"""What other datasets call the usual classes."""


@dataclass(frozen=True)
class ImportPhotosConfig:
    """Options of `import_photos.py`."""

    format: Positional[Literal["coco", "yolo", "voc"]]
    """coco: instances' JSON. yolo: data.yaml, or a folder with it or with classes.txt. voc: a
    folder of XML files, or one with Annotations/ and JPEGImages/."""
    root: Positional[Path]
    """That file or folder."""
    licence: str
    """Licence of the photographs, for the model card; where COCO's file names each one's, that."""
    images: Path | None = None
    """Folder of the pictures, where the annotations do not say."""
    out: Path = Path("photos")
    """Folder to write: labels.json and the pictures."""
    source: str = ""
    """What to call where they are from; the root's name by default."""
    classes: tuple[str, ...] = ("bottle", "bowl", "chair", "mug", "sofa", "table")
    """Classes to keep: the model's. Usual other names of the usual six are known."""
    rename: tuple[str, ...] = ()
    """Further names, "their name=our class"."""
    exhaustive: tuple[str, ...] = ()
    """Classes of which EVERY visible object has a box, or "all": only then is the rest of a
    picture known to hold none, and an object found there an invention."""
    split: Literal["by-scene", "train", "val"] = "by-scene"
    """by-scene: hold --val-share out, no scene on both sides. Or all into one split."""
    val_share: float = 0.15
    """Share of the pictures to hold out, about."""
    scene: str = ""
    """Regular expression; pictures in whose path it matches the same text are of one scene, like
    "^[^/]+/" for a folder each. Pictures that look alike are in any case."""
    unlike: tuple[Path, ...] = ()
    """Folders with labels.json: leave out what shows the same as a picture of theirs, as when
    results are stated for them."""
    longest_side: int | None = None
    """Shrink pictures to this, px; training reads small files many times faster."""
    copy: bool = False
    """Copy pictures instead of linking them."""
    skip_missing: bool = False
    """Leave pictures out that are not there."""
    seed: int = 0
    """Which scenes are held out."""
    overwrite: bool = False
    """Replace an existing folder."""
    verbose: bool = False
    """Show tracebacks and debug messages."""

    def __post_init__(self) -> None:
        if not self.root.exists():
            raise InputError(f"{self.root}: no such file or folder")
        if self.images is not None and not self.images.is_dir():
            raise InputError(f"--images {self.images}: no such folder")
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise InputError(f"--classes must be distinct names, got {list(self.classes)}")
        if not 0 < self.val_share < 1:
            raise InputError(f"--val-share must be in 0..1, got {self.val_share}")
        if self.longest_side is not None and self.longest_side < 64:
            raise InputError(f"--longest-side must be at least 64, got {self.longest_side}")
        for name in self.exhaustive:
            if name not in (*self.classes, "all"):
                raise InputError(
                    f'--exhaustive {name}: expected "all" or some of {", ".join(self.classes)}'
                )
        for pair in self.rename:
            theirs, _, ours = pair.partition("=")
            if not theirs or ours not in self.classes:
                raise InputError(
                    f'--rename "{pair}": expected "their name=our class", the class one of '
                    f"{', '.join(self.classes)}"
                )
        try:
            re.compile(self.scene)
        except re.error as error:
            raise InputError(
                f'--scene "{self.scene}": not a regular expression ({error})'
            ) from error


def class_names(classes: Sequence[str], rename: Sequence[str] = ()) -> dict[str, str]:
    """Return what their names, in plain spelling, are called here."""
    names = {plain_name(name): name for name in classes}
    for name in classes:
        for other in SYNONYMS.get(name, ()):
            names.setdefault(plain_name(other), name)
    for pair in rename:
        theirs, _, ours = pair.partition("=")
        names[plain_name(theirs)] = ours
    return names


def plain_name(name: str) -> str:
    """Return a name as it is compared: lower case, words apart by one space."""
    return " ".join(re.sub(r"[_\-./]+", " ", name.lower()).split())
