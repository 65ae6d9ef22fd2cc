"""Read a dataset that `train/make_dataset.py` made."""

import bisect
import itertools
import json
import os
import zipfile
from pathlib import Path
from typing import Any

from p2o_shapedb.database import ShapeDB
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
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        shard = bisect.bisect_right(self._ends, index)
        number = index - (self._ends[shard - 1] if shard else 0)
        try:
            archive = self._archive(shard)
            label = json.loads(archive.read(f"{number:06d}.json"))
            return from_label(label, archive.read(f"{number:06d}.jpg"), self.shapedb)
        except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
            raise InputError(
                f"{self._paths[shard]}: sample {number} cannot be read ({error}); {_REPAIR}"
            ) from error

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
