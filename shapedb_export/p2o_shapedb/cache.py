"""Keep what was made of every model under a digest of all that it depends on."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from p2o_shapedb.cad.side_files import side_files
from p2o_shapedb.command import atomic_path
from p2o_shapedb.pipeline_version import pipeline_version
from p2o_shapedb.process import Facts, Job, Record
from points2objects.errors import InputError
from points2objects.geometry import FloatArray

_MESH, _SDF, _POINTS, _FACTS = "mesh.npz", "sdf.npy", "points.npy", "record.json"


@dataclass(frozen=True)
class Refusal:
    """A file that cannot be used.

    Attributes:
        reason: Why, one line.
        time_limit_s: The limit it exceeded; 0 if that was not the reason.
    """

    reason: str
    time_limit_s: float = 0.0


@dataclass(frozen=True)
class Cache:
    """A folder of records; several builds may share it, one after another or at once.

    Attributes:
        root: The folder.
    """

    root: Path

    def folder(self, key: str) -> Path:
        """Return where the record of a key lies, or would."""
        return self.root / key[:2] / key

    def holds(self, key: str) -> bool:
        """Tell whether the record of a key is there."""
        return self.folder(key).is_dir()

    def put(self, key: str, record: Record) -> None:
        """Store a record; it is there whole or not at all."""
        facts = record.facts
        told = {
            "extent_m": facts.extent_m.tolist(),
            "symmetry": facts.symmetry,
            "mirror_axis": facts.mirror_axis,
            "method": facts.method,
            "repairs": list(facts.repairs),
            "seconds": facts.seconds,
        }
        with atomic_path(self.folder(key), overwrite=True) as folder:
            folder.mkdir()
            record.mesh.save(folder / _MESH)
            np.save(folder / _SDF, record.sdf.astype(np.float32))
            np.save(folder / _POINTS, facts.points.astype(np.float32))
            (folder / _FACTS).write_text(json.dumps(told), "utf-8")

    def facts(self, key: str) -> Facts:
        """Read a record without its mesh and distances.

        Raises:
            InputError: The record is damaged.
        """
        folder = self.folder(key)
        try:
            facts = json.loads((folder / _FACTS).read_text("utf-8"))
            return Facts(
                points=np.load(folder / _POINTS, allow_pickle=False),
                extent_m=np.array(facts["extent_m"]),
                symmetry=facts["symmetry"],
                mirror_axis=facts["mirror_axis"],
                method=facts["method"],
                repairs=tuple(facts["repairs"]),
                seconds=facts["seconds"],
            )
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{folder}: damaged ({error}); delete it and run again") from error

    def sdf(self, key: str) -> FloatArray:
        """Read the signed distances of a record, (32, 32, 32)."""
        grid: FloatArray = np.load(self.sdf_file(key), allow_pickle=False)
        return grid

    def sdf_file(self, key: str) -> Path:
        """Return the file of a record's signed distances."""
        return self.folder(key) / _SDF

    def mesh_file(self, key: str) -> Path:
        """Return the file of a record's mesh."""
        return self.folder(key) / _MESH

    def refuse(self, key: str, refusal: Refusal) -> None:
        """Remember that a file cannot be used."""
        values = {"reason": refusal.reason, "time_limit_s": refusal.time_limit_s}
        with atomic_path(self._refusal(key), overwrite=True) as path:
            path.write_text(json.dumps(values), "utf-8")

    def refusal(self, key: str) -> Refusal | None:
        """Return why a file cannot be used, or None if that is not known."""
        path = self._refusal(key)
        return Refusal(**json.loads(path.read_text("utf-8"))) if path.is_file() else None

    def _refusal(self, key: str) -> Path:
        return self.root / key[:2] / f"{key}.refused.json"


def cache_key(job: Job) -> str:
    """Return a digest of everything that a model's record depends on."""
    sha = hashlib.sha256(pipeline_version().encode())
    sha.update(json.dumps(job.settings()).encode())
    if job.file:
        for path in (job.file.path, *side_files(job.file.path)):
            with path.open("rb") as file:
                sha.update(hashlib.file_digest(file, "sha256").digest())
    return sha.hexdigest()[:32]
