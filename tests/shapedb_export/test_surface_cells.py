import igl
import numpy as np
import pytest

from p2o_shapedb.solids import surface_cells
from p2o_shapedb.solids.solid_columns import cell_centers, runs
from p2o_shapedb.solids.surface_cells import touched_cells
from points2objects.geometry import FloatArray, IntArray


def triangles(longest: float, widest: float, count: int = 40) -> tuple[FloatArray, IntArray]:
    """Make triangles of a length and a width up to these, anywhere, corners in any order."""
    rng = np.random.default_rng(0)
    middle = rng.uniform(-0.05, 0.05, (count, 3))
    along, side = rng.normal(size=(2, count, 3))
    along *= longest / 2 / np.linalg.norm(along, axis=1, keepdims=True)
    side *= widest / np.linalg.norm(side, axis=1, keepdims=True)
    corners = np.stack([middle - along, middle + along, middle + side], axis=1)
    return corners.reshape(-1, 3), rng.permuted(np.arange(3 * count).reshape(-1, 3), axis=1)


@pytest.mark.parametrize("shape", [(0.4, 0.3), (0.6, 0.01), (0.6, 1e-7), (0.01, 0.01)])
def test_cells_are_marked_where_the_surface_is_and_only_there(shape: tuple[float, float]) -> None:
    size = 24
    vertices, faces = triangles(*shape)
    touched = touched_cells(vertices, faces, size)
    points = cell_centers(size).reshape(-1, 3)
    distance = np.sqrt(igl.point_mesh_squared_distance(points, vertices, faces)[0])
    distance = distance.reshape(touched.shape) * size
    assert (distance[touched] < np.sqrt(3) / 2 + 1e-6).all()
    assert touched[distance < 0.25].all()


def test_a_long_thin_triangle_takes_few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    vertices, faces = triangles(0.6, 0.001)
    rows: list[int] = []
    within_bounds = runs

    def counted(count: IntArray) -> list[IntArray]:
        rows.append(int(count.max()))
        return within_bounds(count)

    monkeypatch.setattr(surface_cells, "runs", counted)
    touched_cells(vertices, faces, 200)
    assert rows[0] < 3 * (0.6 * 200 / 0.45 + 3)
