"""The same files give the same database: in any order, with any workers, on any processor."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh

from p2o_shapedb.build import build
from p2o_shapedb.config import BuildConfig

OTHER_ORDER = """
import sys
from pathlib import Path
listed = Path.glob
Path.glob = lambda self, pattern: list(listed(self, pattern))[::-1]
Path.iterdir = lambda self, listed=Path.iterdir: iter(list(listed(self))[::-1])
from p2o_shapedb.build import build
from p2o_shapedb.config import BuildConfig
if __name__ == "__main__":
    root, out, workers = sys.argv[1:]
    config = BuildConfig(
        out=Path(out), cad=(Path(root),), classes=("lamp", "bowl"), procedural=6,
        workers=int(workers), exemplars_per_class=3, exemplars="any", oracle_models=0,
    )
    print(build(config).database.digest)
"""
"""A build that is listed its files in another order than the file system's."""

OTHER_PROCESSOR = {
    "OPENBLAS_CORETYPE": "Prescott",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
"""Kernels of a small old processor, as far as the libraries can be told to take them."""


def write_lamps(root: Path, order: list[int]) -> Path:
    """Write eight lamps, tilted and turned so that products of their coordinates have noise."""
    (root / "lamp").mkdir(parents=True)
    entries = []
    for number in order:
        rng = np.random.default_rng(number)
        foot = trimesh.creation.cylinder(0.1 + 0.02 * rng.random(), 0.03, sections=16)
        pole = trimesh.creation.cylinder(0.015, 0.6 + rng.random(), sections=12)
        shade = trimesh.creation.cone(0.15 + 0.1 * rng.random(), 0.2, sections=20)
        shade.apply_translation([0.02 * number, 0, 0.3 + 0.4 * rng.random()])
        lamp: Any = trimesh.util.concatenate([foot, pole, shade])
        lamp.apply_transform(trimesh.transformations.random_rotation_matrix(rng.random(3)))
        lamp.export(str(root / "lamp" / f"lamp-{number}.glb"))
        entries.append({"path": f"lamp/lamp-{number}.glb", "source": "test"})
    (root / "index.json").write_text(json.dumps(entries), "utf-8")
    return root


@pytest.mark.parametrize(
    ("workers", "environment"), [(0, {}), (2, OTHER_PROCESSOR)], ids=["order", "processor"]
)
def test_the_same_files_give_the_same_digest(
    tmp_path: Path, workers: int, environment: dict[str, str]
) -> None:
    config = BuildConfig(
        out=tmp_path / "one", cad=(write_lamps(tmp_path / "a" / "cad", list(range(8))),),
        classes=("lamp", "bowl"), procedural=6, workers=0, exemplars_per_class=3,
        exemplars="any", oracle_models=0,
    )  # fmt: skip
    want = build(config).database.digest
    root = write_lamps(tmp_path / "b" / "cad", [5, 2, 7, 0, 1, 6, 4, 3])
    script = tmp_path / "build.py"
    script.write_text(OTHER_ORDER, "utf-8")
    done = subprocess.run(
        [sys.executable, str(script), str(root), str(tmp_path / "two"), str(workers)],
        capture_output=True, text=True, check=False, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == want
    # The meshes are no part of the digest.
    for mesh in (tmp_path / "one" / "meshes").rglob("*.npz"):
        other = tmp_path / "two" / mesh.relative_to(tmp_path / "one")
        assert mesh.read_bytes() == other.read_bytes()
