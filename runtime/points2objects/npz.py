"""Read .npz archives of numbers that somebody else wrote, without trusting what they claim."""

import io
import math
import zipfile
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1
_DAMAGE = (
    *(OSError, KeyError, TypeError, IndexError, EOFError, OverflowError, SyntaxError),
    *(NotImplementedError, RuntimeError, UnicodeError, zipfile.BadZipFile, zlib.error),
)
"""What reading a broken archive may raise, besides ValueError."""


def read_npz(data: bytes, most_bytes: int) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an archive by name.

    Args:
        data: The archive.
        most_bytes: Refuse archives that are longer, or that unpack to more.

    Raises:
        ValueError: Damaged, encrypted, too large, or something other than real numbers in it.
    """
    if len(data) > most_bytes:
        raise ValueError(f"{len(data)} bytes; at most {most_bytes} are read")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            total = sum(info.file_size for info in infos)
            if total > most_bytes:
                raise ValueError(f"it unpacks to {total} bytes; at most {most_bytes} are read")
            return {
                info.filename.removesuffix(".npy"): _array(read_member(archive, info, most_bytes))
                for info in infos
            }
    except _DAMAGE as error:
        raise ValueError(str(error) or type(error).__name__) from error


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most_bytes: int) -> bytes:
    """Return a file of an archive; never unpacks more than its entry says, nor than the limit.

    Raises:
        ValueError: Too large, encrypted, or packed in a way that is not read.
        zipfile.BadZipFile: Damaged.
    """
    if info.flag_bits & _ENCRYPTED or info.compress_type not in _READABLE:
        raise ValueError(f"{info.filename} is encrypted or packed in a way that is not read")
    if info.file_size > most_bytes:
        raise ValueError(
            f"{info.filename} has {info.file_size} bytes; at most {most_bytes} are read"
        )
    try:
        with archive.open(info) as file:
            return file.read(info.file_size)
    except (NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise zipfile.BadZipFile(str(error)) from error


def _array(data: bytes) -> npt.NDArray[Any]:
    """Read an .npy whose header is checked against its length."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, by_columns, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"an .npy of version {version}")
    if dtype.kind not in "fiu":
        raise ValueError(f"an array of {dtype}, not of numbers")
    body = data[stream.tell() :]
    if any(size < 0 for size in shape) or math.prod(shape) * dtype.itemsize != len(body):
        raise ValueError(f"an array of shape {shape} in {len(body)} bytes")
    values = np.frombuffer(body, dtype)
    return values.reshape(shape, order="F" if by_columns else "C")
