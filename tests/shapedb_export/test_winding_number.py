from collections import Counter
from typing import Any

import igl
import numpy as np
import pytest
import trimesh as trimesh_typed

from p2o_shapedb.solids.open_mesh import inside_by_winding_number
from p2o_shapedb.solids.orientation import weld
from p2o_shapedb.solids.solid_columns import cell_centers
from p2o_shapedb.solids.winding_number import CappedMesh
from points2objects.geometry import FloatArray, IntArray

trimesh: Any = trimesh_typed  # half of its own annotations are missing
Mesh = tuple[FloatArray, IntArray]


def summed_angles(mesh: Mesh, points: FloatArray) -> FloatArray:
    """Return winding numbers the slow way: solid angle after solid angle (van Oosterom, 1983)."""
    vertices, faces = mesh
    total = np.zeros(len(points))
    for face in faces:
        a, b, c = vertices[face][:, None] - points
        la, lb, lc = (np.linalg.norm(x, axis=-1) for x in (a, b, c))
        across = np.einsum("ij,ij->i", a, np.cross(b, c))
        ab, bc, ca = (np.einsum("ij,ij->i", x, y) for x, y in ((a, b), (b, c), (c, a)))
        total += 2 * np.arctan2(across, la * lb * lc + ab * lc + bc * la + ca * lb)
    return np.asarray(total / (4 * np.pi))


def kept(mesh: Any, which: Any) -> Mesh:
    return np.array(mesh.vertices), np.array(mesh.faces)[which]


def bowl() -> Mesh:
    ball = trimesh.creation.icosphere(3, 0.45)
    return kept(ball, ball.triangles_center[:, 1] < 0.1)


def torn_ball() -> Mesh:
    """A ball with many small holes, some of which share a vertex."""
    ball = trimesh.creation.icosphere(3, 0.45)
    return kept(ball, np.random.default_rng(0).random(len(ball.faces)) > 0.2)


def box_without_lid() -> Mesh:
    """Few and large triangles; the opening lies on the side of the cube."""
    box = trimesh.creation.box([0.83, 1.0, 0.61])
    return kept(box, box.face_normals[:, 1] < 0.5)


def bands() -> Mesh:
    """Two rings of a tube, each open at both ends."""
    tube = trimesh.creation.cylinder(0.3, 0.35, sections=24)
    side = kept(tube, np.abs(tube.face_normals[:, 2]) < 0.5)
    up, down = side[0] + [0, 0, 0.3], side[0] - [0, 0, 0.3]
    return np.concatenate([up, down]), np.concatenate([side[1], side[1] + len(up)])


SHAPES = {"bowl": bowl, "torn ball": torn_ball, "box": box_without_lid, "bands": bands}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("size", [15, 32, 48])
def test_winding_numbers_are_the_sum_of_solid_angles(name: str, size: int) -> None:
    mesh = SHAPES[name]()
    found = CappedMesh.of(*mesh).winding(size).ravel()
    some = np.random.default_rng(1).permutation(len(found))[:2000]
    found, want = found[some], summed_angles(mesh, cell_centers(size).reshape(-1, 3)[some])
    near_half = np.abs(want - 0.5) < 0.05
    assert np.abs(found - want)[near_half].max(initial=0) < 0.01
    assert np.abs(found - want).max() < 0.1
    assert ((found > 0.5) == (want > 0.5))[np.abs(want - 0.5) > 0.005].all()


@pytest.mark.parametrize("name", SHAPES)
def test_caps_close_every_opening(name: str) -> None:
    capped = CappedMesh.of(*SHAPES[name]())
    passes: Counter[tuple[int, int]] = Counter()
    for face in np.concatenate([capped.faces, capped.caps]).tolist():
        for start, end in zip(face, np.roll(face, -1).tolist(), strict=True):
            passes[min(start, end), max(start, end)] += 1 if start < end else -1
    assert len(capped.caps)
    assert not any(passes.values())


def test_a_closed_mesh_takes_no_caps_and_whole_numbers() -> None:
    box = trimesh.creation.box([0.8, 0.5, 0.6])
    capped = CappedMesh.of(*kept(box, slice(None)))
    assert len(capped.caps) == 0
    want = (np.abs(cell_centers(20)) < [0.4, 0.25, 0.3]).all(axis=-1)
    assert (capped.winding(20) == want).all()


def test_a_crack_between_edges_on_one_line_takes_no_caps() -> None:
    # One side of the box ends in an edge, its neighbours in two halves of it.
    vertices, faces = kept(trimesh.creation.box([0.8, 0.5, 0.6]), slice(None))
    a, b = faces[0][:2]
    vertices = np.concatenate([vertices, (vertices[[a]] + vertices[[b]]) / 2])
    middle, c = len(vertices) - 1, faces[0][2]
    split = np.concatenate([faces[1:], [[a, middle, c], [middle, b, c]]])
    capped = CappedMesh.of(vertices, split)
    assert len(capped.caps) == 0
    want = (np.abs(cell_centers(20)) < [0.4, 0.25, 0.3]).all(axis=-1)
    assert (capped.winding(20) == want).all()


def test_few_cells_are_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    summed = igl.fast_winding_number

    def counted(vertices: FloatArray, faces: IntArray, points: FloatArray) -> FloatArray:
        counts.append(len(points))
        return np.asarray(summed(vertices, faces, points))

    monkeypatch.setattr(igl, "fast_winding_number", counted)
    CappedMesh.of(*bowl()).winding(64)
    assert sum(counts) < 0.2 * 64**3


def test_an_open_sheet_with_two_sides_is_filled_as_with_one() -> None:
    vertices, faces = bowl()
    both = np.random.default_rng(0).permutation(np.concatenate([faces, faces[:, ::-1], faces]))
    one = inside_by_winding_number(vertices, faces, 32)
    assert one.any()
    assert (inside_by_winding_number(vertices, both, 32) == one).all()


def test_openings_of_separate_vertices_are_found_once_welded() -> None:
    vertices, faces = bowl()
    loose = vertices[faces].reshape(-1, 3)
    welded = weld(loose, np.arange(len(loose)).reshape(-1, 3))
    assert len(CappedMesh.of(loose, welded).caps) == len(CappedMesh.of(vertices, faces).caps)


def test_cloth_with_two_sides_is_not_filled_beside_a_frame() -> None:
    sling = trimesh.creation.cylinder(0.4, 0.8, sections=64)
    vertices, faces = kept(sling, np.abs(sling.face_normals[:, 2]) < 0.5)
    low = vertices[faces][:, :, 1].max(axis=1) < -0.2  # hangs through by a fourth of its width
    cloth = np.concatenate([faces[low], faces[low][:, ::-1]])
    beam = trimesh.creation.box([0.9, 0.1, 0.1])
    beam.apply_translation([0, 0.3, 0])
    both = np.concatenate([vertices, beam.vertices])
    frame = np.array(beam.faces) + len(vertices)
    inside = inside_by_winding_number(both, np.concatenate([cloth, frame]), 32)
    assert (inside == inside_by_winding_number(both, frame, 32)).all()
    assert inside.any()
