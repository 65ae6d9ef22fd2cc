"""List the files that a CAD file draws on, without reading the model itself."""

import contextlib
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

from p2o_shapedb.cad.model_folder import LoadLimits, ModelFolder
from p2o_shapedb.cad.mtl import parse_materials
from p2o_shapedb.cad.obj import library_names
from p2o_shapedb.cad.text_file import decode_text
from points2objects.errors import InputError

MOST_READ = 1 << 24
"""Bytes of a file that are searched for the names of other files."""

_LIMITS = LoadLimits()


def side_files(path: Path) -> tuple[Path, ...]:
    """List the materials, textures and buffers of a CAD file that are there and may be read.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        data = file.read(MOST_READ)
    suffix = path.suffix.lower()
    folder = ModelFolder.of(path, _LIMITS)
    if suffix == ".obj":
        libraries = _matches(data, r"(?mi)^[ \t]*mtllib[ \t]+(.+)$")
        materials = _found(folder, libraries, path)
        textures = [
            _found(folder, _textures(one), beside) for one in materials for beside in (path, one)
        ]
        return tuple(dict.fromkeys((*materials, *itertools.chain.from_iterable(textures))))
    if suffix == ".ply":
        head = data[: data.find(b"end_header") + 1]
        names = _matches(head, r"(?mi)^comment[ \t]+TextureFile[ \t]+(.+)$")
        return _found(folder, names, path)
    if suffix in (".glb", ".gltf"):
        return _found(folder, _uris(data), path, encoded=True)
    return ()


def _matches(data: bytes, pattern: str) -> Iterator[str]:
    with contextlib.suppress(InputError):  # the reader tells of what is no text
        for found in re.findall(pattern, decode_text(data, _LIMITS)):
            for names in library_names(found.strip()):
                yield from names


def _textures(material: Path) -> Iterator[str]:
    with contextlib.suppress(InputError), material.open("rb") as file:
        for one in parse_materials(decode_text(file.read(MOST_READ), _LIMITS)).values():
            if one.texture:
                yield one.texture.name


def _uris(data: bytes) -> Iterator[str]:
    for found in re.findall(rb'"uri"\s*:\s*("(?!data:)(?:[^"\\]|\\.){1,1024}")', data):
        with contextlib.suppress(ValueError):
            yield json.loads(found)


def _found(
    folder: ModelFolder, names: Iterator[str], beside: Path, encoded: bool = False
) -> tuple[Path, ...]:
    paths = set()
    for name in names:
        with contextlib.suppress(InputError):
            if encoded:
                paths.add(folder.locate(name, beside, encoded=True))
            else:
                paths.add(folder.locate_loosely(name, beside))
    return tuple(sorted(paths))
