"""Read the fields of an NPZ file that somebody else wrote, each checked.

NumPy stores strings of Python as pickles, and a pickle may run any code. Ours builds arrays, text
and bytes and refuses everything else.
"""

import io
import pickle  # noqa: TID251 - to read it safely; see _StringsOnly
import zipfile
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from points2objects.errors import InputError, check_shape
from points2objects.geometry import FloatArray

MOST_BYTES = 64 << 20
"""Largest field that is read."""


class NpzFields:
    """An open NPZ file; a context manager. What is wrong with it is one line that names it."""

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            InputError: It is missing, or no NPZ file.
        """
        self._path = path
        try:
            self._archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: cannot be read as an NPZ file ({error})") from error

    def __enter__(self) -> "NpzFields":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._archive.close()

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings, stored as text, bytes or objects.

        Raises:
            InputError: The field is missing or something else.
        """
        array = self._array(name)
        values = array.tolist() if array.ndim == 1 else None
        if values is None or not all(isinstance(value, str | bytes) for value in values):
            raise self._wrong(name, "a list of strings", array)
        return tuple(
            value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            for value in values
        )

    def blob(self, name: str) -> bytes:
        """Return the bytes of a field that is one byte string.

        Raises:
            InputError: The field is missing or something else.
        """
        array = self._array(name)
        if array.ndim == 0 and array.dtype.kind in "SV":
            return array.tobytes()  # `item` would drop zeros at the end, and they belong to it.
        value = array.item() if array.ndim == 0 else None
        if not isinstance(value, bytes):
            raise self._wrong(name, "one byte string", array)
        return value

    def floats(self, name: str, shape: str, sizes: dict[str, int] | None = None) -> FloatArray:
        """Return numbers in float64.

        Args:
            name: Name of the field.
            shape: Its shape in words, as `check_shape` takes it.
            sizes: Letters that are bound already.

        Raises:
            InputError: The field is missing, of another shape, no numbers, or not finite.
        """
        array = self._array(name)
        if array.dtype.kind not in "fiu":
            raise self._wrong(name, "numbers", array)
        check_shape(f"{self._path}: field {name!r}", array, shape, sizes)
        if not np.isfinite(array).all():
            raise InputError(f"{self._path}: field {name!r} has values that are not finite")
        return array.astype(float)

    def _array(self, name: str) -> npt.NDArray[Any]:
        try:
            info = self._archive.getinfo(f"{name}.npy")
            if info.file_size > MOST_BYTES:
                raise ValueError(f"{info.file_size} bytes, more than are read")
            return _read_array(self._archive.read(info))
        except KeyError:
            known = ", ".join(sorted(Path(n).stem for n in self._archive.namelist())) or "none"
            raise InputError(
                f"{self._path}: has no field {name!r}; its fields are {known}"
            ) from None
        except (ValueError, EOFError, OSError, zipfile.BadZipFile, pickle.PickleError) as error:
            raise InputError(f"{self._path}: field {name!r} cannot be read ({error})") from error

    def _wrong(self, name: str, want: str, array: npt.NDArray[Any]) -> InputError:
        return InputError(
            f"{self._path}: field {name!r}: expected {want}, got {array.dtype} of shape "
            f"{array.shape}"
        )


def _read_array(data: bytes) -> npt.NDArray[Any]:
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f"an .npy of version {version}")
    _, _, dtype = read_header(stream)
    if not dtype.hasobject:
        stream.seek(0)
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))
    try:
        array = _StringsOnly(stream).load()
    except (AttributeError, IndexError, TypeError, ImportError) as error:
        raise ValueError(f"a broken pickle: {error}") from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"a pickle of {type(array).__name__}, not of an array")
    return array


class _StringsOnly(pickle.Unpickler):
    """Rebuilds arrays of text and bytes; refuses to import anything else."""

    _KNOWN = frozenset(
        [
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("_codecs", "encode"),  # how Python 2's protocols write bytes
            *(
                (f"numpy.{core}.multiarray", name)
                for core in ("core", "_core")
                for name in ("_reconstruct", "scalar")
            ),
        ]
    )

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the few things that an array of strings is made with."""
        if (module, name) not in self._KNOWN:
            raise pickle.UnpicklingError(f"it would run {module}.{name}, which is not allowed")
        if module.startswith("numpy."):
            module = "numpy._core.multiarray" if _has_new_core() else "numpy.core.multiarray"
        return super().find_class(module, name)


def _has_new_core() -> bool:
    return int(np.__version__.split(".")[0]) >= 2
