"""Names in CAD files, which may be in the code page of an old computer."""

import contextlib

_LEGACY = ("utf-8", "cp1252", "gb18030", "shift_jis", "big5", "euc_kr", "cp1251", "cp437")


def spellings(name: str) -> tuple[str, ...]:
    """List what a name that `text_file.decode_text` gave may have been, the likeliest first.

    An old exporter writes names in the code page of its computer: Windows-1252, GBK, Shift JIS.
    Few such letters may be UTF-8 by chance ("\u6728" in GBK is), so both readings are undone.
    """
    if name.isascii():
        return (name,)
    found = [name]
    for read_as in ("latin-1", "utf-8"):
        for encoding in _LEGACY:
            with contextlib.suppress(UnicodeError):
                found.append(name.encode(read_as).decode(encoding))
    return tuple(dict.fromkeys(found))
