"""Telling what a file is by its first bytes: names lie, and FFmpeg plays nearly anything."""

from pathlib import Path
from typing import Literal

FileKind = Literal[
    "picture",
    "GIF",
    "HEIC",
    "AVIF",
    "video",
    "a ZIP archive",
    "a playlist",
    "JPEG XL",
    "JPEG 2000",
    "a Photoshop file",
    "a PDF",
]

RAW_SUFFIXES = (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2")
"""Endings of a camera's raw pictures, most of which look like TIFF or video inside."""

VIDEO_SUFFIXES = (
    *(".3gp", ".asf", ".avi", ".flv", ".h264", ".hevc", ".m2ts", ".m4v", ".mjpeg", ".mjpg"),
    *(".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm"),
    *(".wmv", ".y4m"),
)

_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}
_BEGINNINGS: tuple[tuple[bytes, FileKind], ...] = (
    (b"\xff\xd8\xff", "picture"),
    (b"\x89PNG\r\n\x1a\n", "picture"),
    (b"BM", "picture"),
    (b"II*\0", "picture"),
    (b"MM\0*", "picture"),
    (b"GIF8", "GIF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"#EXTM3U", "a playlist"),
    (b"ffconcat", "a playlist"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"8BPS", "a Photoshop file"),
    (b"%PDF", "a PDF"),
    (b"\x1aE\xdf\xa3", "video"),  # Matroska, WebM
    (b"OggS", "video"),
    (b"FLV\x01", "video"),
    (b"\0\0\x01\xba", "video"),  # MPEG programme stream
    (b"\0\0\x01\xb3", "video"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video"),  # ASF
    (b"YUV4MPEG2", "video"),
)


def file_kind(path: Path) -> FileKind | None:
    """Return what a file is; None if its first bytes do not tell.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return kind_of(file.read(512))


def kind_of(head: bytes) -> FileKind | None:
    """Return what a file is that begins with some bytes; None if they do not tell."""
    if head[4:8] == b"ftyp":
        return _kind_of_brands(head)
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"):
        return "video"
    if head[:4] == b"RIFF":
        return "picture" if head[8:12] == b"WEBP" else "video" if head[8:11] == b"AVI" else None
    # Transport streams begin each packet, of 188 bytes, with a G.
    if head[:1] == b"G" and head[188:189] == b"G":
        return "video"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((kind for start, kind in _BEGINNINGS if (text if start.isascii() and
                 kind == "a playlist" else head).startswith(start)), None)  # fmt: skip


def _kind_of_brands(head: bytes) -> FileKind:
    """Tell HEIC and AVIF from MP4 by the brands that the file says it obeys."""
    size = min(int.from_bytes(head[:4], "big"), len(head))
    brands = {head[8:12]} | {head[start : start + 4] for start in range(16, size - 3, 4)}
    if head[8:12] in _AVIF_BRANDS or (head[8:12] not in _HEIF_BRANDS and brands & _AVIF_BRANDS):
        return "AVIF"
    if head[8:12] in _HEIF_BRANDS:
        return "AVIF" if brands & _AVIF_BRANDS and not brands & {b"heic", b"heix"} else "HEIC"
    return "video"
