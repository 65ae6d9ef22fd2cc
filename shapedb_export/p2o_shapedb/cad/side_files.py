"""List the files that a CAD file draws on, without reading the model itself."""

import contextlib
import itertools
import json
import re
from collections.abc import Callable, Iterator
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
    find: Callable[[str], Path] = lambda name: folder.locate_loosely(name, path)  # noqa: E731
    names: Iterator[str]
    if suffix == ".obj":
        materials = _found(find, _matches(data, r"(?mi)^[ \t]*mtllib[ \t]+(.+)$"))
        textures = [
            _found(lambda name, beside=beside: folder.locate_loosely(name, beside), _textures(one))
            for one in materials
            for beside in {path, one}
        ]
        return tuple(dict.fromkeys((*materials, *itertools.chain.from_iterable(textures))))
    if suffix == ".ply":
        head = data[: data.find(b"end_header") + 1]
        return _found(find, _matches(head, r"(?mi)^comment[ \t]+TextureFile[ \t]+(.+)$"))
    if suffix in (".glb", ".gltf"):
        names = _uris(data)
        return _found(lambda name: folder.locate(name, path, encoded=True), names)
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


def _found(find: Callable[[str], Path], names: Iterator[str]) -> tuple[Path, ...]:
    paths = set()
    for name in names:
        with contextlib.suppress(InputError):
            paths.add(find(name))
    return tuple(sorted(paths))
