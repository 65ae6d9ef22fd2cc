"""Turn one CAD file or generated model into its record: canonical mesh, distances, symmetry."""

import hashlib
import math
import time
from dataclasses import dataclass, replace

import numpy as np

from p2o_shapedb import procedural
from p2o_shapedb.cad.axes import Axes
from p2o_shapedb.cad.meshes import CadFile, RawMesh, clean, load_mesh
from p2o_shapedb.canonical import Canonical, canonicalise, surface_points
from p2o_shapedb.database import SURFACE_POINTS, CanonicalMesh
from p2o_shapedb.fixed_order import transformed
from p2o_shapedb.solids.sdf import OPEN_POLICY, OpenPolicy, SignedDistance, signed_distance
from p2o_shapedb.symmetry import Symmetry, measure_symmetry
from points2objects.errors import InputError
from points2objects.geometry import FloatArray

FRONT_RATIO = 1.02
"""A shape that looks the same from both sides is turned if it is deeper than wide by this."""

GLTF_AXES = Axes()

_OPEN = {
    "fill": "open surface: inside where it surrounds a point for the most part (winding number)",
    "shell": "open surface: inside where a flood from outside does not reach",
}


@dataclass(frozen=True)
class Job:
    """One model to process.

    Attributes:
        id: Id of the model in the database.
        class_name: Its class.
        file: CAD file, or None for a procedural model.
        index: Number of the procedural model.
        seed: Of the procedural model.
        turn_deg: Turn about +y that makes it face -z, after `axes`.
        max_extent: Largest side to accept, metres.
        axes: Frame of the file.
        diagonal_m: Length to give the diagonal of its bounding box, metres; 0 keeps its size.
        notes: What was corrected on purpose, and why.
    """

    id: str
    class_name: str
    file: CadFile | None
    index: int
    seed: int
    turn_deg: float
    max_extent: float
    axes: Axes = GLTF_AXES
    diagonal_m: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return str(self.file.path) if self.file else self.id

    @property
    def ships(self) -> bool:
        """Whether meshes derived from it may be packed."""
        return self.file is None or self.file.ship

    def settings(self) -> list[str | int | float]:
        """Return all but the file's content that its record depends on."""
        axes = [self.axes.up, self.axes.front, self.axes.unit_m]
        origin = ["file" if self.file else "procedural", self.index, self.seed]
        frame = [*axes, self.diagonal_m, self.turn_deg, self.max_extent]
        return [self.id, self.class_name, *origin, *frame]

    def load(self) -> RawMesh:
        """Read or generate the mesh: +y up, metres."""
        if self.file is None:
            model = procedural.generate(self.class_name, self.index, self.seed)
            return clean(RawMesh(model.vertices, model.faces, model.colors, True), self.id)
        raw = load_mesh(self.file.path)
        vertices = transformed(raw.vertices, self.axes.canonical_from_file())
        if self.diagonal_m:
            diagonal = math.hypot(*np.ptp(vertices, axis=0).tolist())
            vertices = vertices * (self.diagonal_m / diagonal)
        return replace(raw, vertices=vertices)


@dataclass(frozen=True)
class Facts:
    """What is known of a model besides its mesh and distances.

    Attributes:
        points: (512, 3) float32, canonical.
        extent_m: (3,), metres.
        symmetry: See `ModelEntry`.
        mirror_axis: See `ModelEntry`.
        method: How the inside was found, see `sdf.SignedDistance`.
        repairs: What had to be mended or guessed, one phrase each.
        seconds: Time of the signed distance.
    """

    points: FloatArray
    extent_m: FloatArray
    symmetry: int
    mirror_axis: int
    method: str
    repairs: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Record:
    """What processing one model gives.

    Attributes:
        mesh: The mesh in canonical pose.
        sdf: Signed distances, (32, 32, 32) float32.
        facts: The rest.
    """

    mesh: CanonicalMesh
    sdf: FloatArray
    facts: Facts


def process_model(job: Job) -> Record:
    """Load a model and measure it.

    Raises:
        InputError: The mesh cannot be used.
    """
    raw = job.load()
    found = _measure(job, raw, job.turn_deg)
    x, _, z = found.canonical.extent_m
    if found.symmetry.order == 2 and z > FRONT_RATIO * x:
        # Two fronts are equally good, so all such shapes take the one across their long side.
        found = _measure(job, raw, job.turn_deg + 90.0)
    facts = Facts(
        points=found.points[::4].astype(np.float32),
        extent_m=found.canonical.extent_m,
        symmetry=found.symmetry.order,
        mirror_axis=found.symmetry.mirror_axis,
        method=found.sdf.method,
        repairs=(*job.notes, *raw.repairs, *_guesses(found.sdf)),
        seconds=found.seconds,
    )
    return Record(found.canonical.mesh, found.sdf.grid, facts)


def open_policy(class_name: str) -> OpenPolicy:
    """Return what the inside of an open mesh of a class is."""
    return OPEN_POLICY.get(class_name, OpenPolicy.FILL)


@dataclass(frozen=True)
class _Measured:
    canonical: Canonical
    sdf: SignedDistance
    points: FloatArray
    symmetry: Symmetry
    seconds: float


def _measure(job: Job, raw: RawMesh, turn_deg: float) -> _Measured:
    canonical = canonicalise(raw, turn_deg)
    if canonical.extent_m.max() > job.max_extent:
        raise InputError(
            f"{job.name}: is {canonical.extent_m.max():.3g} m long, "
            f"more than --max-extent {job.max_extent:g}; is its unit the metre? (--unit-m)"
        )
    start = time.perf_counter()
    mesh = canonical.mesh
    sdf = signed_distance(mesh.vertices, mesh.faces, open_policy(job.class_name))
    seconds = time.perf_counter() - start
    rng = np.random.default_rng(int(hashlib.sha256(job.id.encode()).hexdigest()[:16], 16))
    points = surface_points(canonical, sdf.grid, 4 * SURFACE_POINTS, rng)
    return _Measured(canonical, sdf, points, measure_symmetry(canonical, points), seconds)


def _guesses(sdf: SignedDistance) -> tuple[str, ...]:
    if sdf.method in _OPEN:
        return (_OPEN[sdf.method],)
    if sdf.disagreement >= 1e-4:
        share = f"{sdf.disagreement:.2%}"
        return (f"almost closed: the axes disagree on {share} of the cells, and the majority won",)
    return ()
