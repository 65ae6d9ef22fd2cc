"""Read the materials and textures that a text format names, within limits and with notes."""

import contextlib
from dataclasses import replace
from pathlib import Path

from p2o_shapedb.cad.model_folder import LoadLimits, ModelFolder
from points2objects.errors import InputError


class SideReader:
    """Reads in the model's folder only, and notes what it refuses.

    Attributes:
        limits: What reading may cost.
        notes: What was not read and why, one phrase each.
    """

    def __init__(self, path: Path, limits: LoadLimits) -> None:
        self.limits = limits
        self.notes: list[str] = []
        self._beside = [path]
        self._folder = ModelFolder.of(path, limits)
        self._files_left = limits.texture_files
        self._bytes_left = limits.file_bytes

    def there(self, names: tuple[str, ...]) -> bool:
        """Tell whether all of some files are there."""
        try:
            return all(self._located(name) for name in names)
        except InputError:
            return False

    def _located(self, name: str) -> Path:
        """Find a file beside the model, or beside a material file that was read."""
        for beside in self._beside[1:]:
            with contextlib.suppress(InputError):
                return self._folder.locate_loosely(name, beside)
        return self._folder.locate_loosely(name, self._beside[0])

    def read(self, name: str) -> bytes | None:
        """Read a file; None, and a note, if it is not there or must not be read."""
        self._files_left -= 1
        try:
            if self._files_left < 0:
                raise InputError(f"more than {self.limits.texture_files} files")
            place = self._located(name)
            data = replace(self._folder, max_bytes=self._bytes_left).read_file(place)
        except InputError as error:
            self.notes.append(f"material or texture not read: {error}")
            return None
        self._bytes_left -= len(data)
        if place.parent != self._beside[-1].parent and place.suffix.lower() == ".mtl":
            self._beside.append(place)
        return data
