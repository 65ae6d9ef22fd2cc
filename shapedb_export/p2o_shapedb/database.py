"""The shape database: every CAD model in canonical pose, the exemplars, and eq. 5's targets."""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from points2objects.errors import InputError, check_shape
from points2objects.geometry import ByteArray, FloatArray, IntArray

CLASSES = ("bottle", "bowl", "chair", "mug", "sofa", "table")
"""Classes built by default, in the order of their ids."""

SCHEMA_VERSION = 1
SDF_SIZE = 32
SURFACE_POINTS = 512
SOURCES = "sources.json"
"""File of a database's folder with the digests of the CAD files."""

_ARRAYS = ("sdf", "points", "exemplar_id", "exemplar_model", "soft_labels", "soft_radius")
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, AttributeError, NotImplementedError)
"""What reading a broken database may raise, besides what its values do."""


@dataclass(frozen=True)
class CanonicalMesh:
    """A triangle mesh in the canonical cube [-0.5, 0.5]^3: +y up, facing -z.

    Attributes:
        vertices: (v, 3) float32; every axis spans -0.5..0.5 (object frame).
        faces: (f, 3) int32, counter-clockwise from outside.
        colors: (v, 3) uint8 RGB, per vertex.
        has_color: Whether the colours come from the model, or are a neutral grey.
    """

    vertices: FloatArray
    faces: IntArray
    colors: ByteArray
    has_color: bool

    def __post_init__(self) -> None:
        sizes = check_shape("vertices", self.vertices, "v 3")
        check_shape("faces", self.faces, "f 3")
        check_shape("colors", self.colors, "v 3", sizes)

    def save(self, path: Path) -> None:
        """Write one `.npz`."""
        np.savez_compressed(
            path,
            vertices=self.vertices.astype(np.float32),
            faces=self.faces.astype(np.int32),
            colors=self.colors,
            has_color=np.array(self.has_color),
        )

    @classmethod
    def load(cls, path: Path) -> "CanonicalMesh":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as data:
            return cls(data["vertices"], data["faces"], data["colors"], bool(data["has_color"]))


@dataclass(frozen=True)
class ModelEntry:
    """One CAD model of the database.

    Attributes:
        id: "chair/procedural-ladder-0007": class, slash, a name that is safe as a file name.
        class_name: One of the database's classes.
        split: "train" or "val"; clusters and exemplars come from train models only.
        source: Where the model comes from.
        licence: Licence of the model.
        attribution: Who to credit, one line; empty when nobody asks for it.
        ship: Whether meshes derived from the model may be committed and packed.
        extent_m: Natural size along the canonical axes x, y, z, metres.
        symmetry: Order of the rotational symmetry about y of the metric shape: 1, 2, 4, or 0 for
            a solid of revolution.
        mirror_axis: 0 if the shape equals its mirror image in x, else 2 if it does in z, else -1.
    """

    id: str
    class_name: str
    split: str
    source: str
    licence: str
    attribution: str
    ship: bool
    extent_m: tuple[float, float, float]
    symmetry: int
    mirror_axis: int

    def __post_init__(self) -> None:
        if not self.id.startswith(self.class_name + "/") or self.id.count("/") != 1:
            raise InputError(f"model id: expected '{self.class_name}/<name>', got {self.id!r}")
        if self.split not in ("train", "val"):
            raise InputError(f"{self.id}: split must be 'train' or 'val', got {self.split!r}")
        if self.symmetry not in (0, 1, 2, 4) or self.mirror_axis not in (-1, 0, 2):
            raise InputError(
                f"{self.id}: symmetry must be 0, 1, 2 or 4 and mirror_axis -1, 0 or 2, got "
                f"{self.symmetry} and {self.mirror_axis}"
            )
        if len(self.extent_m) != 3 or not all(0 < side < 100 for side in self.extent_m):
            raise InputError(f"{self.id}: expected three sides in metres, got {self.extent_m}")


@dataclass(frozen=True)
class ShapeDB:
    """Models, exemplars and shape targets; n models, c classes, k exemplars per class, K = c k.

    Attributes:
        classes: Class names; the index is the class id.
        exemplars_per_class: k. Global exemplar id = class id * k + index.
        models: n entries.
        sdf: Signed distances of the exemplars, (K, 32, 32, 32), indexed [x, y, z], at the cell
            centres of the canonical cube; negative inside; unit: side of the cube.
        points: Surface points of every model, (n, 512, 3), canonical.
        exemplar_id: Nearest exemplar of every model, (n,), global id.
        exemplar_model: Model behind every exemplar, (K,).
        soft_labels: Targets of eq. 5 towards the exemplars of the own class, (n, k), 0..1.
        soft_radius: Scale of eq. 5 per class, (c,); see `cluster.soft_radius`.
        folder: Where the meshes lie; None for a database that was never saved.
    """

    classes: tuple[str, ...]
    exemplars_per_class: int
    models: tuple[ModelEntry, ...]
    sdf: FloatArray
    points: FloatArray
    exemplar_id: IntArray
    exemplar_model: IntArray
    soft_labels: FloatArray
    soft_radius: FloatArray
    folder: Path | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        c, k, n = len(self.classes), self.exemplars_per_class, len(self.models)
        sizes = {"c": c, "k": k, "n": n, "K": c * k, "d": SDF_SIZE}
        check_shape("sdf", self.sdf, "K d d d", sizes)
        check_shape("points", self.points, f"n {SURFACE_POINTS} 3", sizes)
        check_shape("exemplar_id", self.exemplar_id, "n", sizes)
        check_shape("exemplar_model", self.exemplar_model, "K", sizes)
        check_shape("soft_labels", self.soft_labels, "n k", sizes)
        check_shape("soft_radius", self.soft_radius, "c", sizes)
        if any(model.class_name not in self.classes for model in self.models):
            raise InputError(f"shape database: a model's class is not one of {list(self.classes)}")
        if len(self._index_of) != n:
            raise InputError("shape database: two models share an id")

    @cached_property
    def _index_of(self) -> dict[str, int]:
        return {model.id: i for i, model in enumerate(self.models)}

    @cached_property
    def digest(self) -> str:
        """SHA-256 over everything but the folder; artefacts made from this database carry it."""
        sha = hashlib.sha256(_header(self).encode())
        for name in _ARRAYS:
            sha.update(np.ascontiguousarray(getattr(self, name)).tobytes())
        return sha.hexdigest()

    @cached_property
    def class_symmetry(self) -> tuple[int, ...]:
        """Symmetry about y that most models of each class have, as `ModelEntry.symmetry`."""
        return tuple(
            common_symmetry([m.symmetry for m in self.models if m.class_name == name])
            for name in self.classes
        )

    @cached_property
    def source_digests(self) -> dict[str, str]:
        """SHA-256 of the CAD file behind each model that has one, by id.

        Empty for a database that was never saved, or saved before these were kept.
        """
        path = self.folder / SOURCES if self.folder else None
        if path is None or not path.is_file():
            return {}
        try:
            return {
                str(key): str(value) for key, value in json.loads(path.read_text("utf-8")).items()
            }
        except (OSError, ValueError, AttributeError) as error:
            raise InputError(f"{path}: broken ({error}); build the database again") from error

    def class_id(self, model_index: int) -> int:
        """Return the class id of a model."""
        return self.classes.index(self.models[model_index].class_name)

    def index(self, model_id: str) -> int:
        """Return the index of a model.

        Raises:
            InputError: No model has this id.
        """
        try:
            return self._index_of[model_id]
        except KeyError:
            raise InputError(
                f"shape database {self.digest[:8]} holds no model {model_id!r}; "
                "use the database that the file was made with"
            ) from None

    def mesh(self, model_index: int) -> CanonicalMesh:
        """Read the mesh of a model from the folder."""
        if self.folder is None:
            raise InputError("shape database: it was not loaded from a folder, so has no meshes")
        return CanonicalMesh.load(mesh_path(self.folder, self.models[model_index].id))

    def save(self, folder: Path) -> None:
        """Write everything but the meshes; those go to `mesh_path(folder, model.id)`."""
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            folder / "arrays.npz", **{name: getattr(self, name) for name in _ARRAYS}
        )
        # For readers other than `load`, which derives it from the models.
        symmetry = dict(zip(self.classes, self.class_symmetry, strict=True))
        more = {"class_symmetry": symmetry, "digest": self.digest}
        text = json.dumps(json.loads(_header(self)) | more, indent=1)
        (folder / "shapedb.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path | str) -> "ShapeDB":
        """Read a database that `build_db.py` wrote.

        Raises:
            InputError: The folder is no shape database, of another schema, or was altered.
        """
        folder = Path(folder)
        if not (folder / "shapedb.json").is_file():
            raise InputError(
                f"{folder} is no shape database (it has no shapedb.json); "
                "make one with shapedb_export/build_db.py --out"
            )
        try:
            header = json.loads((folder / "shapedb.json").read_text(encoding="utf-8"))
            if header["schema"] != SCHEMA_VERSION:
                raise InputError(
                    f"{folder}: this version reads schema {SCHEMA_VERSION}, got "
                    f"{header['schema']}; build the database again"
                )
            with np.load(folder / "arrays.npz", allow_pickle=False) as data:
                arrays = {name: data[name] for name in _ARRAYS}
            database = cls(
                classes=tuple(header["classes"]),
                exemplars_per_class=header["exemplars_per_class"],
                models=tuple(_read_model(model) for model in header["models"]),
                folder=folder,
                **arrays,
            )
        except (KeyError, TypeError, OSError, ValueError, *_DAMAGE) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{folder}: broken shape database ({error}); build it again"
            ) from error
        if database.digest != header["digest"]:
            raise InputError(
                f"{folder}: its arrays do not match its digest {header['digest'][:8]}; "
                "build it again"
            )
        return database


def common_symmetry(orders: Sequence[int]) -> int:
    """Return the highest order of rotational symmetry that at least half of some models have.

    Args:
        orders: Order of each model, as `ModelEntry.symmetry`. A model of a higher order has the
            lower ones too.
    """
    enough = {
        0: sum(order == 0 for order in orders),
        4: sum(order in (0, 4) for order in orders),
        2: sum(order in (0, 2, 4) for order in orders),
    }
    common = [order for order, count in enough.items() if 2 * count >= len(orders) > 0]
    return common[0] if common else 1


def mesh_path(folder: Path, model_id: str) -> Path:
    """Return where a database keeps the mesh of a model."""
    return folder / "meshes" / f"{model_id}.npz"


def _header(database: ShapeDB) -> str:
    return json.dumps(
        {
            "schema": SCHEMA_VERSION,
            "classes": database.classes,
            "exemplars_per_class": database.exemplars_per_class,
            "models": [asdict(model) for model in database.models],
        }
    )


def _read_model(values: dict[str, Any]) -> ModelEntry:
    known: Sequence[str] = [f.name for f in fields(ModelEntry)]
    return ModelEntry(
        **{name: values[name] for name in known if name != "extent_m"},
        extent_m=tuple(values["extent_m"]),
    )
