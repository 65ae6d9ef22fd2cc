"""What reading one CAD file may cost, and which files beside it may be opened."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from points2objects.errors import InputError


@dataclass(frozen=True)
class LoadLimits:
    """Bounds that keep a broken or hostile file from filling the memory or never ending.

    Every one is checked on a header or a size, before the memory it guards is taken.

    Attributes:
        file_bytes: Of a binary file, and of everything a glTF file refers to, together.
        text_bytes: Of an OBJ, OFF, ASCII PLY or ASCII STL file.
        text_values: Words in one of the first three; each takes up to 110 bytes while it is
            parsed.
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
        if path.parent.name == "models" and path.stem == "model_normalized":
            return cls(path.parent.parent, limits.file_bytes)
        return cls(path.parent, limits.file_bytes)

    def read(
        self, reference: str, beside: Path, encoded: bool = False, most: int | None = None
    ) -> bytes:
        """Read a file that a model names.

        Args:
            reference: Relative path, as the model has it; backslashes count as slashes.
            beside: The model's file; the path is relative to it.
            encoded: Whether it is a URI, with %20 and the like.
            most: Bytes to stop at; without, a file over `max_bytes` is refused.

        Raises:
            InputError: A URL, an absolute path, one that leads out of the folder (links
                followed), no file, or too long a file.
        """
        text = (unquote(reference) if encoded else reference).replace("\\", "/")
        shown = repr(reference if len(reference) <= 80 else reference[:77] + "...")
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text) or text.startswith(("/", "~")):
            raise InputError(f"refers to {shown}; only files in its own folder are read")
        if not text.strip() or any(ord(letter) < 32 for letter in text) or len(text) > 1024:
            raise InputError(f"refers to {shown}, which is no file name")
        try:
            target = (beside.parent / text).resolve()
            inside = target.is_relative_to(self.folder.resolve())
            if inside and target.is_file():
                size = target.stat().st_size
                if most is None and size > self.max_bytes:
                    raise InputError(
                        f"refers to {shown}, {size} bytes long; at most {self.max_bytes} are read"
                    )
                with target.open("rb") as file:
                    return file.read(size if most is None else most)
        except (OSError, RuntimeError) as error:  # names too long, loops of links
            raise InputError(f"refers to {shown}, which cannot be read ({error})") from error
        if not inside:
            raise InputError(f"refers to {shown}, which is outside of its folder; it is not read")
        raise InputError(f"refers to {shown}, but there is no such file beside it")
