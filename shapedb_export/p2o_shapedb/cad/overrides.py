"""Corrections for CAD that came with a wrong front, up axis, unit or class.

One TOML file, see docs/shape-database.md. `overrides.toml` beside this module always applies; the
file given by `--overrides` adds to it and wins.
"""

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import tomllib

from p2o_shapedb.cad.axes import Axes, Front, Up
from points2objects.errors import InputError

SHIPPED = Path(__file__).with_name("overrides.toml")


@dataclass(frozen=True)
class Frame:
    """What may be corrected of a frame; None leaves what was said before.

    Attributes:
        up: Axis of the file that points up.
        front: Axis of the file that its front faces.
        unit_m: Metres per unit of the file.
        diagonal_m: Length of the bounding box's diagonal, metres; for files without a unit.
    """

    up: Up | None = None
    front: Front | None = None
    unit_m: float | None = None
    diagonal_m: float | None = None

    def axes(self, usual: Axes) -> Axes:
        """Return a frame with the corrections applied.

        Raises:
            InputError: The front lies along the up axis.
        """
        # A corrected up axis comes with its own usual front.
        front = self.front or ("auto" if self.up else usual.front)
        unit_m = usual.unit_m if self.unit_m is None else self.unit_m
        return Axes(self.up or usual.up, front, unit_m)


@dataclass(frozen=True)
class SourceOverride(Frame):
    """Corrections for all files of a source, and what is known about them.

    Attributes:
        source: Name to record instead of the folder's.
        licence: Licence of files that `index.json` does not name.
        attribution: Whom to credit for them.
        ship: Whether meshes derived from them may be packed.
    """

    source: str | None = None
    licence: str | None = None
    attribution: str | None = None
    ship: bool | None = None


@dataclass(frozen=True)
class FileOverride(Frame):
    """Corrections for one file.

    Attributes:
        skip: Leave the file out.
        turn_deg: Extra turn about +y, degrees.
        class_name: Class to put it into; `class` in the file.
        reason: Why.
    """

    skip: bool = False
    turn_deg: float = 0.0
    class_name: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class Synset:
    """A folder of ShapeNetCore.

    Attributes:
        class_name: Its class; `class` in the file.
        diagonal_m: Diagonal to give its models, metres: ShapeNetCore's have no unit.
    """

    class_name: str
    diagonal_m: float


@dataclass(frozen=True)
class Overrides:
    """All corrections.

    Attributes:
        sources: By name of the folder given to `--cad` or `--shapenet`.
        files: By path below that folder, which may hold `*` and `?`.
        synsets: By WordNet number of 8 digits.
    """

    sources: Mapping[str, SourceOverride] = field(default_factory=dict)
    files: Mapping[str, FileOverride] = field(default_factory=dict)
    synsets: Mapping[str, Synset] = field(default_factory=dict)

    def source(self, root: Path) -> SourceOverride:
        """Return the corrections for a folder."""
        return self.sources.get(root.resolve().name, SourceOverride())

    def usual_diagonal(self, class_name: str) -> float | None:
        """Return how long the diagonal of a class's models is for the most part, m, if known."""
        found = (s.diagonal_m for s in self.synsets.values() if s.class_name == class_name)
        return next(found, None)

    def file(self, key: str) -> FileOverride:
        """Return the corrections for a file: of its own, else the last pattern it matches."""
        if key in self.files:
            return self.files[key]
        patterns = [name for name in self.files if fnmatch.fnmatchcase(key, name)]
        return self.files[patterns[-1]] if patterns else FileOverride()


def read_overrides(*paths: Path) -> Overrides:
    """Read the corrections that ship and those of more files, of which the last wins.

    Raises:
        InputError: A file is missing, no TOML, or says something unknown.
    """
    merged = Overrides()
    for path in (SHIPPED, *paths):
        read = _read(path)
        merged = replace(
            merged,
            sources={**merged.sources, **read.sources},
            files={**merged.files, **read.files},
            synsets={**merged.synsets, **read.synsets},
        )
    return merged


def _read(path: Path) -> Overrides:
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--overrides {path}: {error}") from error
    unknown = set(tables) - {"source", "file", "synset"}
    if unknown:
        raise InputError(
            f"--overrides {path}: expected tables [source], [file] and [synset], "
            f"got [{sorted(unknown)[0]}]"
        )
    return Overrides(
        sources=_entries(path, tables, "source", SourceOverride),
        files=_entries(path, tables, "file", FileOverride),
        synsets=_entries(path, tables, "synset", Synset),
    )


Entry = TypeVar("Entry")


def _entries(path: Path, tables: dict[str, Any], table: str, kind: type[Entry]) -> dict[str, Entry]:
    names = {"class" if f.name == "class_name" else f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    found = {}
    for key, values in tables.get(table, {}).items():
        where = f"--overrides {path}: [{table}] {key}"
        if not isinstance(values, dict) or not values or not set(values) <= set(names):
            raise InputError(f"{where}: expected any of {', '.join(names)}, got {values}")
        try:
            for name, value in values.items():
                _check(name, value)
            entry = kind(**{names[name].name: value for name, value in values.items()})
            if isinstance(entry, Frame):
                entry.axes(Axes())
        except (TypeError, InputError) as error:
            raise InputError(f"{where}: {error}") from error
        found[key] = entry
    return found


def _check(name: str, value: object) -> None:
    number = name in ("turn_deg", "unit_m", "diagonal_m")
    wanted = (int, float) if number else bool if name in ("skip", "ship") else str
    if not isinstance(value, wanted) or (number and isinstance(value, bool)):
        kind = "a number" if number else "true or false" if wanted is bool else "text"
        raise InputError(f"{name} must be {kind}, got {value!r}")
    if name == "diagonal_m" and not (isinstance(value, int | float) and 0 < value < 100):
        raise InputError(f"diagonal_m must be 0..100 metres, got {value}")
