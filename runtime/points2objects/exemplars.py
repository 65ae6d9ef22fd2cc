"""The CAD shapes a model chooses from."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from points2objects.credits import credit
from points2objects.errors import InputError
from points2objects.files import read_file
from points2objects.glb import GlbFile, Mesh, decode_glb
from points2objects.strict_json import as_items, as_text, as_whole

PACK_SCHEMA = 1
MOST_EXEMPLARS = 8_000
MOST_PACK_BYTES = 64 << 20

_HALF_SIDE = 0.51
"""Meshes fill the unit cube; the hundredth is for rounding."""
_TEXTS = ("class", "model", "source", "licence", "attribution")


@dataclass(frozen=True, eq=False)
class ExemplarPack:
    """The meshes of all exemplars; the index is the exemplar id.

    Attributes:
        meshes: K meshes in the object frame (unit cube, +y up, facing -z), ordered by class and
            then by index within it.
        classes: Class names, in the order of class ids.
        exemplars_per_class: k; exemplar id = class id * k + index.
        digest: SHA-256 of the shape database they were taken from.
    """

    meshes: tuple[Mesh, ...]
    classes: tuple[str, ...]
    exemplars_per_class: int
    digest: str

    def __post_init__(self) -> None:
        expected = len(self.classes) * self.exemplars_per_class
        if len(self.meshes) != expected:
            raise InputError(
                f"exemplars: {len(self.classes)} classes of {self.exemplars_per_class} need "
                f"{expected} meshes, got {len(self.meshes)}"
            )
        for mesh in self.meshes:
            reach = float(np.abs(mesh.vertices).max(initial=0.0))
            if not 0.5 * _HALF_SIDE < reach <= _HALF_SIDE:
                raise InputError(
                    f"exemplar {mesh.name}: must fill the cube from -0.5 to 0.5, but reaches to "
                    f"{reach:.3g}"
                )
            wrong = [key for key in _TEXTS if not isinstance(mesh.extras.get(key, ""), str)]
            if wrong or not isinstance(mesh.name, str):
                raise InputError(f"exemplar {mesh.name}: its {(*wrong, 'name')[0]} is no text")

    def __len__(self) -> int:
        return len(self.meshes)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each exemplar: class and index, "chair/07"."""
        return tuple(mesh.name for mesh in self.meshes)

    @property
    def sources(self) -> tuple[str, ...]:
        """Where each exemplar's CAD model comes from."""
        return self._extra("source")

    @property
    def licences(self) -> tuple[str, ...]:
        """Licence of each exemplar."""
        return self._extra("licence")

    @property
    def attributions(self) -> tuple[str, ...]:
        """Whom to credit for each exemplar."""
        return self._extra("attribution")

    def credits(self) -> tuple[str, ...]:
        """Return one line per author and terms, most used first."""
        lines = Counter(credit(mesh.extras) for mesh in self.meshes)
        return tuple(line for line, _ in lines.most_common())

    @classmethod
    def load(cls, path: Path | str) -> "ExemplarPack":
        """Read a pack that `shapedb_export/export_pack.py` wrote.

        Raises:
            InputError: Missing, not a GLB, not a pack, or its exemplars are not complete.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"{path}: no such file; make it with shapedb_export/export_pack.py")
        return cls.from_bytes(read_file(path, MOST_PACK_BYTES), path.name)

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> "ExemplarPack":
        """Read a pack from memory; `name` is what to call it in messages."""
        return cls._from_glb(decode_glb(data, name), name)

    @classmethod
    def _from_glb(cls, file: GlbFile, name: str) -> "ExemplarPack":
        header = file.extras.get("points2objects")
        if not isinstance(header, dict) or header.get("schema") != PACK_SCHEMA:
            raise InputError(
                f"{name}: not an exemplar pack of schema {PACK_SCHEMA}; make it with "
                "shapedb_export/export_pack.py"
            )
        try:
            classes = tuple(
                as_text("a class", label) for label in as_items("classes", header["classes"])
            )
            digest = as_text("shapedb_digest", header["shapedb_digest"])
            most = MOST_EXEMPLARS // max(len(classes), 1)
            per_class = as_whole("exemplars_per_class", header["exemplars_per_class"], 1, most)
            meshes: dict[int, Mesh] = {}
            for mesh in file.meshes:
                index = as_whole("an exemplar_id", mesh.extras["exemplar_id"])
                expected = classes[index // per_class]
                if mesh.extras["class"] != expected:
                    raise ValueError(f"exemplar {index} should be a {expected}")
                meshes[index] = mesh
        except (KeyError, IndexError, ValueError) as error:
            raise InputError(
                f"{name}: its exemplars are not labelled as they should be ({error}); make it "
                "again with shapedb_export/export_pack.py"
            ) from error
        if len(meshes) != len(classes) * per_class or len(file.meshes) != len(meshes):
            raise InputError(
                f"{name}: {len(classes)} classes of {per_class} need exemplars 0 to "
                f"{len(classes) * per_class - 1}, got {len(meshes)} of them"
            )
        try:
            return cls(tuple(meshes[index] for index in sorted(meshes)), classes, per_class, digest)
        except InputError as error:
            raise InputError(
                f"{name}: {error}; make it again with shapedb_export/export_pack.py"
            ) from error

    def _extra(self, key: str) -> tuple[str, ...]:
        return tuple(str(mesh.extras.get(key, "")) for mesh in self.meshes)
