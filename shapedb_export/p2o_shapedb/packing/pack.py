"""Write the exemplars of a shape database as one small GLB."""

import csv
import io
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from p2o_shapedb.command import atomic_path, refuse_existing
from p2o_shapedb.database import CanonicalMesh, ShapeDB
from p2o_shapedb.packing.licences import provenance
from p2o_shapedb.packing.normals import unit
from p2o_shapedb.packing.pack_glb import Compression, PackedNode, encode_pack
from p2o_shapedb.packing.quantise import PackedMesh, quantise
from p2o_shapedb.packing.simplify import simplify_within, weld
from p2o_shapedb.packing.surface_error import Reference, SurfaceError, Tolerance
from p2o_shapedb.progress import progress
from p2o_shapedb.workers import Limits, run_in_workers
from points2objects.credits import copyright_line
from points2objects.errors import InputError
from points2objects.geometry import FloatArray

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1

LIMIT = Tolerance(mean=0.005, tail=0.02, worst=0.1, normal_deg=30.0)
"""An exemplar that is further than this from its model is worth a warning."""

CLASS_COLORS = (
    (0.10, 0.32, 0.18), (0.72, 0.66, 0.52), (0.45, 0.24, 0.10), (0.62, 0.12, 0.10),
    (0.13, 0.24, 0.46), (0.55, 0.36, 0.17), (0.40, 0.40, 0.42), (0.30, 0.14, 0.40),
)  # fmt: skip
"""Linear RGB of the materials; classes take them in turn."""


@dataclass(frozen=True)
class PackOptions:
    """How a pack is made.

    Attributes:
        tolerance: How far simplification may go.
        compression: "meshopt" is smaller, but the runtime and many tools cannot read it.
        workers: Processes; 0 works in the calling one.
    """

    tolerance: Tolerance = field(default_factory=Tolerance)
    compression: Compression = "none"
    workers: int = 2


@dataclass(frozen=True)
class PackedExemplar:
    """An exemplar as the pack holds it.

    Attributes:
        name: "chair/07".
        model: Model it was made of.
        mesh: Its triangles.
        error: What simplification and rounding did to it.
    """

    name: str
    model: str
    mesh: PackedMesh
    error: SurfaceError

    @property
    def bytes(self) -> int:
        """Size of its vertices and indices before compression."""
        return 12 * len(self.mesh.positions) + 2 * self.mesh.faces.size


@dataclass(frozen=True)
class PackReport:
    """What a pack holds.

    Attributes:
        exemplars: One entry each, by exemplar id.
        bytes: Size of the file.
    """

    exemplars: tuple[PackedExemplar, ...]
    bytes: int

    @property
    def triangles(self) -> int:
        """Median number of triangles."""
        return int(np.median([len(one.mesh.faces) for one in self.exemplars]))

    @property
    def worst(self) -> PackedExemplar:
        """The exemplar with the largest mean error."""
        return max(self.exemplars, key=lambda one: one.error.mean)

    @property
    def mean_error(self) -> float:
        """Mean over the exemplars of `SurfaceError.mean`."""
        return float(np.mean([one.error.mean for one in self.exemplars]))

    def to_csv(self) -> str:
        """Return one line per exemplar; errors in per cent of the diagonal, angles in degrees."""
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        head = ("name", "model", "triangles", "vertices", "kB", "mean_%", "p99.9_%", "max_%")
        writer.writerow([*head, "normal_deg"])
        for one in self.exemplars:
            error = one.error
            sizes = (len(one.mesh.faces), len(one.mesh.positions), f"{one.bytes / 1e3:.2f}")
            shares = [f"{100 * value:.3f}" for value in (error.mean, error.tail, error.worst)]
            writer.writerow([one.name, one.model, *sizes, *shares, f"{error.normal_deg:.1f}"])
        return table.getvalue()


def write_pack(
    database: ShapeDB,
    path: Path,
    options: PackOptions = PackOptions(),
    overwrite: bool = False,
) -> PackReport:
    """Write `exemplars.glb`: per exemplar a node and mesh "chair/07" in the canonical cube.

    Positions are 16-bit integers that the node scales to the cube, normals 8-bit. Class, index,
    source, licence and attribution are in each node's extras, the digest of the database in the
    asset's.

    Raises:
        InputError: The file exists and `overwrite` is off, the database has no meshes, or one
            of them cannot be reduced.
    """
    refuse_existing(path, overwrite)
    exemplars = pack_exemplars(database, options)
    for one in exemplars:
        if not LIMIT.accepts(one.error):
            log.warning(
                "%s (%s) is %.2f %% of its diagonal from its model; raise --triangles",
                one.name,
                one.model,
                100 * one.error.mean,
            )
    content = encode_exemplars(database, exemplars, options.compression)
    with atomic_path(path, overwrite) as temporary:
        temporary.write_bytes(content)
    return PackReport(exemplars, len(content))


def pack_exemplars(database: ShapeDB, options: PackOptions) -> tuple[PackedExemplar, ...]:
    """Simplify and round every exemplar; returns them in the order of their ids.

    Raises:
        InputError: One of them cannot be packed; the message says which and why.
    """
    jobs = [
        _Job(
            exemplar_name(database, exemplar_id),
            database.models[model].id,
            database.mesh(model),
            np.asarray(database.models[model].extent_m),
            options.tolerance,
        )
        for exemplar_id, model in enumerate(map(int, database.exemplar_model))
    ]
    limits = Limits(options.workers, time_s=600.0, memory_gb=4.0)
    outcomes = run_in_workers(_pack, jobs, limits)
    packed: dict[int, PackedExemplar] = {}
    shown = progress(outcomes, "packing", "exemplar", len(jobs))
    for outcome in shown:
        if outcome.value is None:
            job = jobs[outcome.index]
            raise InputError(f"{job.name} ({job.model}) cannot be packed: {outcome.failure}")
        packed[outcome.index] = outcome.value
    return tuple(packed[index] for index in range(len(jobs)))


def encode_exemplars(
    database: ShapeDB, exemplars: tuple[PackedExemplar, ...], compression: Compression
) -> bytes:
    """Return the GLB of exemplars that `pack_exemplars` made."""
    nodes = [
        PackedNode(
            one.name,
            one.mesh,
            exemplar_id // database.exemplars_per_class,
            _extras(database, exemplar_id),
        )
        for exemplar_id, one in enumerate(exemplars)
    ]
    return encode_pack(nodes, _asset(database), _materials(database), compression)


def exemplar_name(database: ShapeDB, exemplar_id: int) -> str:
    """Name an exemplar, "chair/07": the index has two digits, or as many as k needs."""
    class_id, index = divmod(exemplar_id, database.exemplars_per_class)
    digits = max(2, len(str(database.exemplars_per_class - 1)))
    return f"{database.classes[class_id]}/{index:0{digits}d}"


@dataclass(frozen=True)
class _Job:
    name: str
    model: str
    mesh: CanonicalMesh
    extent: FloatArray
    tolerance: Tolerance


def _pack(job: _Job) -> PackedExemplar:
    """Simplify at natural proportions, round in the canonical cube, and measure the outcome."""
    metric = np.asarray(job.mesh.vertices, float) * job.extent
    faces = np.asarray(job.mesh.faces, np.int64)
    found = simplify_within(metric, faces, job.tolerance)
    packed = quantise(
        np.clip(found.vertices / job.extent, -0.5, 0.5),
        unit(found.normals * job.extent),  # inverse transpose of the division
        found.faces,
    )
    reference = Reference(*weld(metric, faces), samples=20000)
    error = reference.error(
        packed.vertices() * job.extent,
        unit(packed.normals / job.extent),
        packed.faces.astype(np.int64),
    )
    return PackedExemplar(job.name, job.model, packed, error)


def _asset(database: ShapeDB) -> dict[str, Any]:
    extras = [_extras(database, number) for number in range(len(database.exemplar_model))]
    return {
        "copyright": copyright_line(extras),
        "extras": {
            "points2objects": {
                "schema": SCHEMA_VERSION,
                "shapedb_digest": database.digest,
                "classes": list(database.classes),
                "exemplars_per_class": database.exemplars_per_class,
            }
        },
    }


def _extras(database: ShapeDB, exemplar_id: int) -> dict[str, Any]:
    model = database.models[int(database.exemplar_model[exemplar_id])]
    return {
        "class": model.class_name,
        "index": exemplar_id % database.exemplars_per_class,
        "exemplar_id": exemplar_id,
        "model": model.id,
        **provenance(model.source, model.licence, model.attribution),
    }


def _materials(database: ShapeDB) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "pbrMetallicRoughness": {
                "baseColorFactor": [*CLASS_COLORS[i % len(CLASS_COLORS)], 1.0],
                "metallicFactor": 0.0,
                "roughnessFactor": 0.7,
            },
            "doubleSided": True,
        }
        for i, name in enumerate(database.classes)
    ]
