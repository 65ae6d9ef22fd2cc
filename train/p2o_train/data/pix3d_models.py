"""Lay Pix3D's meshes out as `build_db.py --cad` reads them."""

import json
import shutil
from pathlib import Path

from p2o_train.data.pix3d_entry import model_name, read_entries
from points2objects.errors import InputError

FRONT = "-z"
"""Where Pix3D's meshes face: their +z points away from who looks at their front."""


def cad_path(cad: Path, category: str, model: str) -> Path:
    """Return where `link_models` puts a mesh."""
    return cad / category / f"{model_name(model)}.obj"


def link_models(root: Path, cad: Path) -> int:
    """Link every mesh of `pix3d.json` as <cad>/<category>/<name>.obj; return how many there are.

    Colours are left behind: materials lie beside the originals.

    Raises:
        InputError: A mesh is missing, or the folder holds something else.
    """
    meshes = sorted({(entry.category, entry.model) for entry in read_entries(root)})
    for category, model in meshes:
        source, target = (root / model).resolve(), cad_path(cad, category, model)
        if not source.is_file():
            raise InputError(f"{root / model}: no such file; unpack pix3d.zip into --root")
        target.parent.mkdir(parents=True, exist_ok=True)
        _link(source, target)
    index = [
        {
            "path": f"{category}/{model_name(model)}.obj",
            "source": "Pix3D",
            "licence": "CC-BY-4.0",
            "title": "Pix3D",
            "creator": "Sun, Wu et al. 2018",
            "ship": False,
        }
        for category, model in meshes
    ]
    (cad / "index.json").write_text(json.dumps(index, indent=1) + "\n", "utf-8")
    return len(meshes)


def _link(source: Path, target: Path) -> None:
    if target.is_symlink():
        target.unlink()
    if target.exists():
        raise InputError(f"{target}: exists and is no link; choose another --cad")
    try:
        target.symlink_to(source)
    except OSError:  # no links on this file system
        shutil.copyfile(source, target)
