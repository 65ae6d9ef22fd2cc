"""Read OBJ, PLY, OFF and STL files."""

from pathlib import Path

from p2o_shapedb.cad.mesh_part import MeshFile
from p2o_shapedb.cad.model_folder import LoadLimits
from p2o_shapedb.cad.obj import read_obj
from p2o_shapedb.cad.off import read_off
from p2o_shapedb.cad.ply import read_ply
from p2o_shapedb.cad.stl import read_stl


def read_plain(path: Path, limits: LoadLimits) -> MeshFile:
    """Read an .obj, .ply, .off or .stl file.

    Materials and textures come from the model's own folder only; those that do not are noted
    and left out.

    Raises:
        InputError: Broken, or longer than the limits.
    """
    data = path.read_bytes()
    kind = path.suffix.lower()
    if kind == ".obj":
        return read_obj(path, data, limits)
    if kind == ".off":
        return MeshFile((read_off(data, limits).part(limits),), ())
    part, notes = read_ply(path, data, limits) if kind == ".ply" else read_stl(data, limits)
    return MeshFile((part,), notes)
