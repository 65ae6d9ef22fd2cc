"""Read the materials of an OBJ file: their colour, their texture and how it lies."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from p2o_shapedb.cad.text_file import to_floats
from p2o_shapedb.cad.text_names import spellings
from points2objects.errors import InputError
from points2objects.geometry import FloatArray

_ONE_WORD = ("-blendu", "-blendv", "-cc", "-bm", "-boost", "-texres", "-imfchan", "-type")
_UP_TO_THREE = ("-o", "-s", "-t")


@dataclass(frozen=True)
class Texture:
    """A texture and how it lies on the surface.

    Attributes:
        name: Its file, as the material has it.
        scale: Factors of u and v.
        offset: Added to them afterwards.
        clamp: Whether it shows once, its border going on for ever, instead of repeating.
    """

    name: str
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    clamp: bool = False

    def placed(self, uv: FloatArray) -> FloatArray:
        """Return where texture coordinates, (n, 2), fall in the picture, v down from its top."""
        moved = uv * self.scale + self.offset
        if self.clamp:
            moved = np.clip(moved, 0.0, np.nextafter(1.0, 0.0))
        return np.asarray(moved * [1.0, -1.0] + [0.0, 1.0])


@dataclass(frozen=True)
class Material:
    """A material of an MTL file.

    Attributes:
        diffuse: Its colour, (3,) 0..1, or None where none is given.
        texture: Its texture, or None.
    """

    diffuse: FloatArray | None = field(default=None, compare=False)
    texture: Texture | None = None

    @property
    def is_black(self) -> bool:
        """Whether its colour would hide its texture: Maya and others write 0 beside a texture."""
        return self.diffuse is not None and not self.diffuse.any()


def parse_materials(text: str) -> dict[str, Material]:
    """Read the text of an MTL file; what it says twice holds as said first."""
    found: dict[str, Material] = {}
    name, diffuse, texture = None, None, None
    for key, rest in (*_statements(text), ("newmtl", "")):
        if key == "newmtl":
            if name is not None:
                found.setdefault(name, Material(diffuse, texture))
            name, diffuse, texture = rest, None, None
        elif key == "kd" and diffuse is None:
            diffuse = _color(rest)
        elif key == "map_kd" and texture is None:
            texture = parse_texture(rest)
    return found


def _statements(text: str) -> Iterator[tuple[str, str]]:
    for line in re.sub(r"\\[ \t]*\n", " ", text).split("\n"):
        words = line.strip(" \t\f\v").split(None, 1)
        if len(words) == 2 and not words[0].startswith("#"):
            yield words[0].lower(), words[1].strip(" \t\f\v")


def _color(text: str) -> FloatArray | None:
    words = re.split(r"(?:^|\s)#", text)[0].split()
    try:
        values = to_floats(words[:3], "Kd")
    except InputError:
        return None  # "Kd spectral file.rfl"
    if not len(values) or not np.isfinite(values).all():
        return None
    # "If only r is given, g and b are equal to it."
    return np.clip(np.resize(values, 3) if len(values) == 1 else np.pad(values, (0, 3))[:3], 0, 1)


def parse_texture(text: str) -> Texture | None:
    """Read what follows `map_Kd`: options, then the name of a file, which may hold spaces."""
    words = re.findall(r"\S+\s*", text)
    scale, offset, clamp = (1.0, 1.0), (0.0, 0.0), False
    place = 0
    while place < len(words):
        option = words[place].strip().lower()
        if option in _UP_TO_THREE:
            values = _leading_numbers(words[place + 1 : place + 4])
            place += 1 + len(values)
            pair = (*values, *((1.0, 1.0) if option == "-s" else (0.0, 0.0))[len(values) :])
            if option == "-s":
                scale = pair[0], pair[1]
            elif option == "-o":
                offset = pair[0], pair[1]
        elif option == "-mm":
            place += 1 + len(_leading_numbers(words[place + 1 : place + 3]))
        elif option == "-clamp":
            clamp = "".join(words[place + 1 : place + 2]).strip().lower() == "on"
            place += 2
        elif option in _ONE_WORD:
            place += 2
        else:
            break
    name = "".join(words[place:]).strip().strip('"')
    return Texture(name, scale, offset, clamp) if name else None


def _leading_numbers(words: Sequence[str]) -> list[float]:
    found: list[float] = []
    for word in words:
        try:
            found.append(float(word))
        except ValueError:
            break
    return found


class Materials:
    """The materials of a file by name."""

    def __init__(self, materials: Mapping[str, Material]) -> None:
        self._by_name = materials
        self._by_spelling = {s: m for name, m in materials.items() for s in spellings(name)}

    def find(self, name: str) -> Material | None:
        """Return a material: by its name as it stands, without a comment, or in a code page."""
        for choice in (name, re.split(r"\s#", name)[0].strip()):
            if choice in self._by_name:
                return self._by_name[choice]
        known = (s for s in spellings(name) if s in self._by_spelling)
        return next((self._by_spelling[s] for s in known), None)
