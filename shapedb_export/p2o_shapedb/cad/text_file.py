"""Decode the text of a CAD file, whoever wrote it: its encoding, line ends and numbers."""

import codecs
import math
from collections.abc import Sequence

import numpy as np

from p2o_shapedb.cad.model_folder import LoadLimits
from points2objects.errors import InputError
from points2objects.geometry import FloatArray, IntArray

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BLANKS = b" \t\r\n\v\f"


def decode_text(data: bytes, limits: LoadLimits, count_words: bool = True) -> str:
    """Return the text of a file, its lines ended by line feeds only.

    Bytes that are no UTF become one letter each (Latin-1), so that nothing is lost: numbers and
    keywords are ASCII, and `text_names.spellings` says what a name may have meant.

    Args:
        data: The bytes.
        limits: What reading may cost.
        count_words: Whether each blank stands for a word that will take memory; STL is indented.

    Raises:
        InputError: No text, or more of it than the limits allow.
    """
    if len(data) > limits.text_bytes:
        raise InputError(
            f"is {len(data)} bytes of text; at most {limits.text_bytes} are read: save it as a "
            "binary format"
        )
    words = len(data) - len(data.translate(None, _BLANKS))
    if count_words and words > limits.text_values:
        raise InputError(
            f"has {words} words; at most {limits.text_values} are read: save it as a binary format"
        )
    text = _decoded(data).rstrip("\0")  # some writers fill the last block with zeros
    if "\0" in text:
        raise InputError("should be text, but holds zero bytes")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(data: bytes) -> str:
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "")
    head = data[:512].rstrip(b"\0")
    if not encoding and len(head) >= 8 and head.count(0) >= len(head) // 3:
        # UTF-16 without its mark: every other byte of ASCII is zero.
        encoding = "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
    try:
        return data.decode(encoding or "utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        if encoding and encoding != "utf-8":
            raise InputError(f"begins like {encoding} text, but is not ({error.reason})") from error
        return data.decode("latin-1").removeprefix("\u00ef\u00bb\u00bf")


def to_floats(words: Sequence[str], where: str) -> FloatArray:
    """Convert words to numbers; what only stands for no number ("1.#IND") becomes NaN.

    Args:
        words: The words.
        where: What to call their place in the message.

    Raises:
        InputError: A word is no number.
    """
    try:
        # Not np.array(words): one word of a million digits would make every element as long.
        return np.fromiter(map(float, words), float, len(words))
    except ValueError:
        return np.fromiter((_number(word, where) for word in words), float, len(words))


def _number(word: str, where: str) -> float:
    try:
        return float(word)
    except ValueError:
        pass
    bare = word.lower().lstrip("+-")
    if bare.startswith(("1.#", "nan", "inf", "ind")):
        return math.nan  # as C libraries print them: "-1.#IND", "nan(0x8000)"
    if bare.count(",") == 1 and bare.replace(",", "").replace(".", "").isdecimal():
        raise InputError(
            f"{where}: {word[:20]!r} has a decimal comma; export it with decimal points"
        )
    raise InputError(f"{where}: expected a number, got {word[:20]!r}")


def to_wholes(words: Sequence[str], where: str) -> IntArray:
    """Convert words to whole numbers, (n,) int64.

    Raises:
        InputError: A word is no whole number, or one that no file needs.
    """
    try:
        return np.fromiter(map(int, words), np.int64, len(words))
    except (ValueError, OverflowError):
        return np.fromiter((_whole(word, where) for word in words), np.int64, len(words))


def _whole(word: str, where: str) -> int:
    value = _number(word, where)  # some exporters write all numbers alike: "3.0"
    if not value.is_integer() or abs(value) >= 2**53:
        raise InputError(f"{where}: expected a whole number, got {word[:20]!r}")
    return int(value)
