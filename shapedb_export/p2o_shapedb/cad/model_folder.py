"""What reading one CAD file may cost, and which files beside it may be opened."""

import contextlib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from p2o_shapedb.cad.text_names import spellings
from points2objects.errors import InputError

_TEXTURE_FOLDERS = ("textures", "texture", "maps", "images")


@dataclass(frozen=True)
class LoadLimits:
    """Bounds that keep a broken or hostile file from filling the memory or never ending.

    Every one is checked on a header or a size, before the memory it guards is taken.

    Attributes:
        file_bytes: Of a binary file, and of everything a glTF file refers to, together.
        text_bytes: Of an OBJ, OFF, ASCII PLY or ASCII STL file.
        text_values: Words in one of these.
        json_values: Values in a glTF document.
        parts: Primitives after flattening, every instance counted.
        vertices: Likewise.
        triangles: Likewise.
        image_pixels: Of all textures that are decoded, together.
        texture_files: Materials and textures that are opened.
    """

    file_bytes: int = 512 << 20
    text_bytes: int = 256 << 20
    text_values: int = 24_000_000
    json_values: int = 1_000_000
    parts: int = 20_000
    vertices: int = 6_000_000
    triangles: int = 3_000_000
    image_pixels: int = 96_000_000
    texture_files: int = 256


@dataclass(frozen=True)
class ModelFolder:
    """The folder of a model: the only place that its buffers, materials and textures come from.

    Attributes:
        folder: The folder.
        max_bytes: Largest file to read.
    """

    folder: Path
    max_bytes: int

    @classmethod
    def of(cls, path: Path, limits: LoadLimits) -> "ModelFolder":
        """Return the folder of a CAD file."""
        # ShapeNetCore.v2 has <id>/models/model_normalized.obj and its textures in <id>/images.
        is_shapenet = path.parent.name == "models" and path.stem == "model_normalized"
        # Sketchfab's originals have source/<model> and their textures in textures/.
        if is_shapenet or path.parent.name == "source":
            return cls(path.parent.parent, limits.file_bytes)
        return cls(path.parent, limits.file_bytes)

    def read(
        self, reference: str, beside: Path, encoded: bool = False, most: int | None = None
    ) -> bytes:
        """Read a file that a model names; see `locate`.

        Args:
            reference: Relative path, as the model has it.
            beside: The model's file.
            encoded: Whether it is a URI.
            most: Bytes to stop at; without, a file over `max_bytes` is refused.

        Raises:
            InputError: As `locate`, or too long a file.
        """
        return self.read_file(self.locate(reference, beside, encoded), most)

    def read_file(self, path: Path, most: int | None = None) -> bytes:
        """Read a file that `locate` found; errors as in `read`."""
        try:
            size = path.stat().st_size
            if most is None and size > self.max_bytes:
                raise InputError(
                    f"refers to {_shown(path.name)}, {size} bytes long; at most {self.max_bytes} "
                    "are read"
                )
            with path.open("rb") as file:
                return file.read(size if most is None else most)
        except OSError as error:
            raise InputError(
                f"refers to {_shown(path.name)}, which cannot be read ({error.strerror})"
            ) from error

    def locate(self, reference: str, beside: Path, encoded: bool = False) -> Path:
        """Find a file that a model names, its letters in upper or lower case.

        Args:
            reference: Relative path, as the model has it; backslashes count as slashes.
            beside: The model's file; the path is relative to it.
            encoded: Whether it is a URI, with %20 and the like, and perhaps a query.

        Raises:
            InputError: A URL, an absolute path, one that leads out of the folder (links
                followed), or no file.
        """
        text = (unquote(reference) if encoded else reference).replace("\\", "/")
        shown = _shown(reference)
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text) or text.startswith(("/", "~")):
            raise InputError(f"refers to {shown}; only files in its own folder are read")
        if not text.strip() or any(ord(letter) < 32 for letter in text) or len(text) > 1024:
            raise InputError(f"refers to {shown}, which is no file name")
        choices = [text, re.split(r"[?#]", text)[0]] if encoded else [text]
        try:
            for choice in choices:
                if not self._holds(beside.parent / choice):
                    raise InputError(
                        f"refers to {shown}, which is outside of its folder; it is not read"
                    )
                found = _match(beside.parent, choice)
                if found is not None and self._holds(found):
                    return found.resolve()
        except (OSError, RuntimeError) as error:  # names too long, loops of links
            raise InputError(f"refers to {shown}, which cannot be read ({error})") from error
        raise InputError(f"refers to {shown}, but there is no such file beside it")

    def locate_loosely(self, name: str, beside: Path) -> Path:
        r"""Find a material or texture of a text format, whose name may be in any code page.

        A path of the artist's computer ("C:\work\wood.png") stands for the file of that name
        beside the model, or in a folder of textures there.

        Raises:
            InputError: As `locate`, of the name as it stands.
        """
        names = spellings(name)
        last = [re.split(r"[/\\]", spelling)[-1] for spelling in names]
        places = (f"{up}{folder}" for up in ("", "../") for folder in _TEXTURE_FOLDERS)
        below = [f"{place}/{file}" for place in places for file in last]
        for choice in (*names, *last, *below):
            with contextlib.suppress(InputError):
                return self.locate(choice, beside)
        return self.locate(names[min(1, len(names) - 1)], beside)

    def _holds(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self.folder.resolve())


def _match(folder: Path, text: str) -> Path | None:
    """Return the file of a relative path, the case and the composition of its letters ignored."""
    exact = folder / text
    if exact.is_file():
        return exact
    found = folder
    for part in text.split("/"):
        if part in ("", ".", "..") or (found / part).exists():
            found = found / part
            continue
        if not found.is_dir():
            return None
        alike = [p for p in sorted(found.iterdir()) if _folded(p.name) == _folded(part)]
        if not alike:
            return None
        found = alike[0]
    return found if found.is_file() else None


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _shown(reference: str) -> str:
    return repr(reference if len(reference) <= 80 else reference[:77] + "...")
