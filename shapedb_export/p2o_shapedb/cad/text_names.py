"""Names in CAD files, which may be in the code page of an old computer."""

_LEGACY = ("utf-8", "cp1252", "gb18030", "shift_jis", "big5", "euc_kr", "cp1251", "cp437")


def spellings(name: str) -> tuple[str, ...]:
    """List what a name that `text_file.decode_text` gave may have been, the likeliest first.

    An old exporter writes names in the code page of its computer: Windows-1252, GBK, Shift JIS.
    """
    try:
        raw = name.encode("latin-1")
    except UnicodeEncodeError:
        return (name,)
    if raw.isascii():
        return (name,)
    found = [name]
    for encoding in _LEGACY:
        try:
            found.append(raw.decode(encoding))
        except UnicodeDecodeError:
            continue
    return tuple(dict.fromkeys(found))
