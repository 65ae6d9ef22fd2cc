"""List the models of a ShapeNetCore.v2 tree: <synset>/<id>/models/model_normalized.obj."""

from collections.abc import Mapping
from pathlib import Path

from p2o_shapedb.cad.meshes import CadFile
from p2o_shapedb.cad.overrides import Synset
from points2objects.errors import InputError

MODEL = Path("models") / "model_normalized.obj"
SOURCE = "ShapeNetCore.v2"
LICENCE = "ShapeNet terms of use: non-commercial research and education"


def find_shapenet(
    root: Path, classes: tuple[str, ...], synsets: Mapping[str, Synset]
) -> tuple[CadFile, ...]:
    """List the models of some classes, by class and id.

    Meshes of ShapeNet may not be passed on, so none of them ships.

    Args:
        root: Folder that holds the folders of synsets.
        classes: Classes to take.
        synsets: What class each synset is.

    Raises:
        InputError: The root is missing, or holds no model of these classes.
    """
    if not root.is_dir():
        raise InputError(f"--shapenet {root}: no such folder")
    found = [
        CadFile(
            path=folder / MODEL,
            class_name=class_name,
            key=f"{number}/{folder.name}",
            source=SOURCE,
            licence=LICENCE,
            attribution="",
            ship=False,
        )
        for class_name in classes
        for number in sorted(n for n, synset in synsets.items() if synset.class_name == class_name)
        for folder in sorted((root / number).glob("*"))
        if (folder / MODEL).is_file()
    ]
    if not found:
        known = {synset.class_name: number for number, synset in synsets.items()}
        missing = [name for name in classes if name not in known]
        hint = f"; no [synset] of --overrides names {', '.join(missing)}" if missing else ""
        raise InputError(
            f"--shapenet {root}: no models; expected <synset>/<id>/{MODEL.as_posix()} with synset "
            f"one of {', '.join(sorted(known[name] for name in classes if name in known))}{hint}"
        )
    return tuple(found)
