"""Read a dataset that `train/make_dataset.py` made."""

import bisect
import itertools
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from p2o_shapedb.database import ShapeDB
from p2o_train.data.pixel_maps import DEPTH_SUFFIX, MASK_SUFFIX, read_depth, read_mask
from p2o_train.data.sample import Sample
from p2o_train.data.shards import (
    MANIFEST,
    PLAN,
    SCHEMA_VERSION,
    ShardInfo,
    from_label,
    parse_label,
    read_json,
    shard_digest,
)
from points2objects.errors import InputError
from points2objects.files import sha256
from points2objects.geometry import FloatArray, IntArray
from points2objects.npz import read_member
from points2objects.strict_json import as_items, as_table, as_text, as_whole

MOST_MEMBER_BYTES = 32 << 20
"""Largest label, picture or map of a shard."""
MOST_SHARD_SAMPLES = 1_000_000

Decoded = TypeVar("Decoded")

_OPTIONS = {MASK_SUFFIX: "--masks", DEPTH_SUFFIX: "--depth"}
_REPAIR = (
    f"copy the dataset again, or delete this shard and {MANIFEST} and repeat train/make_dataset.py "
    "with the same options: it renders what is missing"
)


class RenderedDataset:
    """Samples of one split by index. Can be sent to other processes; files open when needed."""

    def __init__(self, folder: Path, split: str, shapedb: ShapeDB) -> None:
        """Open a split, and compare each of its shards with the sum in the manifest.

        Raises:
            InputError: The folder is no finished dataset, a shard is missing or not the one that
                was rendered, or it was rendered with another shape database.
        """
        self.shapedb = shapedb
        manifest = _read_manifest(Path(folder))
        if manifest["shapedb_digest"] != shapedb.digest:
            raise InputError(
                f"{folder}: rendered with shape database {str(manifest['shapedb_digest'])[:8]}, "
                f"but {shapedb.digest[:8]} was given; pass the database it was made with, or run "
                "train/make_dataset.py again"
            )
        if split not in manifest["splits"]:
            raise InputError(
                f"{folder}: has no split {split!r}, only {', '.join(sorted(manifest['splits']))}"
            )
        shards = _shards(Path(folder), manifest["splits"][split])
        self._paths = [Path(folder) / split / shard.name for shard in shards]
        missing = [path.name for path in self._paths if not path.is_file()]
        if missing:
            raise InputError(f"{folder}/{split}: {missing[0]} is missing; make the dataset again")
        for path, shard in zip(self._paths, shards, strict=True):
            _check_digest(path, shard.sha256)
        self.digest = sha256("".join(shard.sha256 for shard in shards).encode())
        self._ends = list(itertools.accumulate(shard.samples for shard in shards))
        self._archives: dict[tuple[int, int], zipfile.ZipFile] = {}

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> Sample:
        label = self._read(index, ".json")
        jpeg = self._read(index, ".jpg")
        return self._decoded(index, lambda: from_label(parse_label(label), jpeg, self.shapedb))

    def masks(self, index: int) -> IntArray:
        """Return which object of a sample each pixel shows, (s, s), -1 for none.

        Raises:
            InputError: The dataset was made without masks.
        """
        png = self._read(index, MASK_SUFFIX)
        return self._decoded(index, lambda: read_mask(png))

    def depth(self, index: int) -> FloatArray:
        """Return the distance along the optical axis, (s, s), camera heights; 0: no surface.

        Raises:
            InputError: The dataset was made without depth.
        """
        png = self._read(index, DEPTH_SUFFIX)
        return self._decoded(index, lambda: read_depth(png))

    @property
    def has_masks(self) -> bool:
        """Whether `masks` works."""
        try:
            return len(self) > 0 and f"000000{MASK_SUFFIX}" in self._archive(0).namelist()
        except (zipfile.BadZipFile, OSError) as error:
            raise self._unreadable(0, error) from error

    def _read(self, index: int, suffix: str) -> bytes:
        shard, number = self._place(index)
        name = f"{number:06d}{suffix}"
        try:
            archive = self._archive(shard)
            return read_member(archive, archive.getinfo(name), MOST_MEMBER_BYTES)
        except KeyError as error:
            if suffix in _OPTIONS:
                raise InputError(
                    f"{self._paths[shard]}: holds no {name}; make the dataset with "
                    f"{_OPTIONS[suffix]}"
                ) from error
            raise self._unreadable(index, error) from error
        except (zipfile.BadZipFile, ValueError, OSError, struct.error) as error:
            raise self._unreadable(index, error) from error

    def _decoded(self, index: int, decode: Callable[[], Decoded]) -> Decoded:
        try:
            return decode()
        except (KeyError, TypeError, ValueError, OSError, OverflowError) as error:
            raise self._unreadable(index, error) from error

    def _unreadable(self, index: int, error: Exception) -> InputError:
        shard, number = self._place(index)
        return InputError(
            f"{self._paths[shard]}: sample {number} cannot be read ({error}); {_REPAIR}"
        )

    def _place(self, index: int) -> tuple[int, int]:
        """Return the shard of a sample, and its number there."""
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        shard = bisect.bisect_right(self._ends, index)
        return shard, index - (self._ends[shard - 1] if shard else 0)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_archives": {}}

    def _archive(self, shard: int) -> zipfile.ZipFile:
        # A forked process shares file positions with its parent, so it opens its own.
        key = (os.getpid(), shard)
        if key not in self._archives:
            self._archives[key] = zipfile.ZipFile(self._paths[shard])
        return self._archives[key]


def _check_digest(path: Path, want: str) -> None:
    try:
        have = shard_digest(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error}); {_REPAIR}") from error
    if have != want:
        raise InputError(
            f"{path}: {MANIFEST} expects SHA-256 {want[:8]}, but the file has {have[:8]}; {_REPAIR}"
        )


def _read_manifest(folder: Path) -> dict[str, Any]:
    if not (folder / MANIFEST).is_file():
        state = "is not finished" if (folder / PLAN).is_file() else "is no dataset"
        raise InputError(
            f"{folder} {state} (it has no {MANIFEST}); run train/make_dataset.py --out {folder}"
        )
    manifest = read_json(folder / MANIFEST)
    if manifest.get("schema") != SCHEMA_VERSION:
        raise InputError(
            f"{folder}: this version reads schema {SCHEMA_VERSION}, got {manifest.get('schema')}; "
            "make the dataset again"
        )
    if not isinstance(manifest.get("splits"), dict) or "shapedb_digest" not in manifest:
        raise InputError(f"{folder / MANIFEST}: lacks splits or shapedb_digest; make it again")
    return manifest


def _shards(folder: Path, entries: Any) -> list[ShardInfo]:
    """Read the shards of a split; their files lie in its folder and nowhere else."""
    try:
        shards = []
        for entry in as_items("a split", entries):
            values = as_table("a shard", entry)
            name, digest = as_text("name", values["name"]), as_text("sha256", values["sha256"])
            if Path(name).name != name:
                raise ValueError(f"the shard {name!r} is no name of a file")
            samples = as_whole("samples", values["samples"], 0, MOST_SHARD_SAMPLES)
            shards.append(ShardInfo(name, samples, digest))
        return shards
    except (KeyError, ValueError) as error:
        raise InputError(f"{folder / MANIFEST}: {error}; make the dataset again") from error
