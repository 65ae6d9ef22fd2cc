"""Read a dataset that `train/make_dataset.py` made."""

import bisect
import itertools
import json
import os
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
    from_label,
    read_json,
    shard_digest,
)
from points2objects.errors import InputError
from points2objects.files import sha256
from points2objects.geometry import FloatArray, IntArray

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
                f"{folder}: rendered with shape database {manifest['shapedb_digest'][:8]}, but "
                f"{shapedb.digest[:8]} was given; pass the database it was made with, or run "
                "train/make_dataset.py again"
            )
        if split not in manifest["splits"]:
            raise InputError(
                f"{folder}: has no split {split!r}, only {', '.join(sorted(manifest['splits']))}"
            )
        shards = manifest["splits"][split]
        self._paths = [Path(folder) / split / shard["name"] for shard in shards]
        missing = [path.name for path in self._paths if not path.is_file()]
        if missing:
            raise InputError(f"{folder}/{split}: {missing[0]} is missing; make the dataset again")
        for path, shard in zip(self._paths, shards, strict=True):
            _check_digest(path, shard["sha256"])
        sums = "".join(shard["sha256"] for shard in shards)
        self.digest = sha256(sums.encode())
        self._ends = list(itertools.accumulate(shard["samples"] for shard in shards))
        self._archives: dict[tuple[int, int], zipfile.ZipFile] = {}

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> Sample:
        label = self._read(index, ".json")
        return self._decoded(
            index, lambda: from_label(json.loads(label), self._read(index, ".jpg"), self.shapedb)
        )

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
        return len(self) > 0 and f"000000{MASK_SUFFIX}" in self._archive(0).namelist()

    def _read(self, index: int, suffix: str) -> bytes:
        shard, number = self._place(index)
        name = f"{number:06d}{suffix}"
        try:
            return self._archive(shard).read(name)
        except KeyError as error:
            if suffix in _OPTIONS:
                raise InputError(
                    f"{self._paths[shard]}: holds no {name}; make the dataset with "
                    f"{_OPTIONS[suffix]}"
                ) from error
            raise self._unreadable(index, error) from error
        except (zipfile.BadZipFile, OSError) as error:
            raise self._unreadable(index, error) from error

    def _decoded(self, index: int, decode: Callable[[], Decoded]) -> Decoded:
        try:
            return decode()
        except (KeyError, ValueError, OSError) as error:
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
    return manifest
