"""The same scenes drawn twice, by the rasteriser and by the path tracer, to be looked at."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from p2o_shapedb.command import atomic_path
from points2objects.errors import InputError
from points2objects.geometry import ByteArray


@dataclass(frozen=True)
class SheetConfig:
    """Options of `render_sheet.py`."""

    shapedb: Path = Path("shapedb")
    """Folder from shapedb_export/build_db.py."""
    out: Path = Path("sheet.jpg")
    """Picture to write (JPEG or PNG): the path-traced scenes."""
    rasterised: Path | None = None
    """Where the same scenes go as the rasteriser draws them; beside `out` by default."""
    count: int = 24
    """Scenes, six in a row."""
    first: int = 0
    """Number of the first scene: those of `make_dataset.py` with the same split and seed."""
    split: Literal["train", "val"] = "train"
    """Whose models stand in them."""
    seed: int = 0
    """Seed of the scenes."""
    assets: Path | None = None
    """Folder as for `make_dataset.py`."""
    overwrite: bool = False
    """Replace existing sheets."""
    verbose: bool = False
    """Show tracebacks and debug messages."""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"--count must be at least 1, got {self.count}")
        for flag, path in (("--out", self.out), ("--rasterised", self.rasterised)):
            if path is not None and path.suffix.lower() not in {".jpg", ".jpeg", ".png"}:
                raise InputError(f"{flag} must end in .jpg or .png, got {path}")
        if self.assets is not None and not self.assets.is_dir():
            raise InputError(f"--assets {self.assets}: no such folder")

    @property
    def paths(self) -> dict[str, Path]:
        """Where the sheet of each quality goes."""
        beside = self.out.with_stem(f"{self.out.stem}-rasterised")
        return {"default": self.rasterised or beside, "path-traced": self.out}


def write_sheets(config: SheetConfig) -> None:
    """Draw the scenes both ways, and write a sheet of each.

    Raises:
        InputError: A sheet exists, or what path tracing needs is missing.
    """
    from PIL import Image

    from p2o_train.data.contact_sheet import tiled

    for quality, path in config.paths.items():
        sheet = tiled(_pictures(config, quality))
        with atomic_path(path, config.overwrite) as temporary:
            kind = "PNG" if path.suffix.lower() == ".png" else "JPEG"
            Image.fromarray(sheet).save(temporary, kind, quality=90)


def _pictures(config: SheetConfig, quality: str) -> list[ByteArray]:
    from tqdm import trange

    from p2o_shapedb.database import ShapeDB
    from p2o_train.rendering.generate import SampleGenerator

    shapedb = ShapeDB.load(config.shapedb)
    generator = SampleGenerator(shapedb, config.split, config.seed, quality, config.assets)
    numbers = trange(config.count, desc=quality, unit="image", disable=None)
    pictures = [np.asarray(generator.sample(config.first + i).image) for i in numbers]
    generator.close()
    return pictures
