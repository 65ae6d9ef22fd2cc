"""Temporary names for results that are not finished, and putting finished ones in their place.

A result grows under a temporary name beside the one it will have, and is renamed when complete. So
a reader sees all of it or nothing, and a run that is killed costs no earlier result. What such a
run leaves behind is removed by the next one: a temporary is locked while its writer lives, and the
system gives the lock back when the writer is gone, however it ended.
"""

import contextlib
import ctypes
import errno
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

TEMPORARY = ".p2o-tmp"
"""Ends the names of results in the making."""
ASIDE = ".p2o-old"
"""Ends the names of folders that were moved aside to be replaced."""
_NAME_CHARACTERS = 40
"""Characters of the target's name in a temporary's: file systems end at 255 bytes."""
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@contextlib.contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """Give an empty temporary folder that takes the place of `target` when the body succeeds.

    A body that fails leaves nothing behind and an earlier folder untouched. A killed one leaves
    a temporary, which the next call beside it removes.

    Raises:
        OSError: The file system refuses.
    """
    if not target.parent.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
    _bring_back(target)
    sweep(target.parent)
    temporary, lock = _make_folder(target)
    try:
        yield temporary
        _put_in_place(target, temporary)
    finally:
        # The earlier folder, once the two have changed names.
        shutil.rmtree(temporary, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def create_temporary(target: Path) -> tuple[Path, int]:
    """Create an empty temporary file beside `target`; return it and its descriptor, locked.

    Raises:
        OSError: The file system refuses.
    """
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    while True:
        temporary = _temporary_name(target, TEMPORARY)
        descriptor = os.open(temporary, flags, 0o666)
        if _lock(descriptor) and _is_still_there(temporary, descriptor):
            return temporary, descriptor
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove what writers that are gone left in a folder; never what somebody still writes.

    Does nothing where files cannot be locked (Windows) or the folder cannot be listed.
    """
    if sys.platform == "win32":
        return
    with contextlib.suppress(OSError):
        for path in [path for path in folder.iterdir() if _is_temporary(path)]:
            with contextlib.suppress(OSError):
                _remove_unlocked(path)


def cure(error: OSError, otherwise: str = "is the folder there?") -> str:
    """Say what to do about an error of writing."""
    return {
        errno.ENOSPC: "make room on the disk",
        errno.EDQUOT: "make room within your quota",
        errno.EFBIG: "the file size is limited here (ulimit -f)",
        errno.EROFS: "choose a place that can be written",
        errno.EACCES: "choose a place that you may write to",
        errno.EPERM: "choose a place that you may write to",
        errno.ENAMETOOLONG: "choose a shorter name",
        errno.EISDIR: "a folder of that name is there",
    }.get(error.errno or 0, otherwise)


def _temporary_name(target: Path, suffix: str) -> Path:
    return target.with_name(f".{target.name[:_NAME_CHARACTERS]}.{secrets.token_hex(4)}{suffix}")


def _is_temporary(path: Path) -> bool:
    return re.fullmatch(rf"\..+\.[0-9a-f]{{8}}{re.escape(TEMPORARY)}", path.name, re.S) is not None


def _make_folder(target: Path) -> tuple[Path, int | None]:
    """Create a temporary folder and lock it; without a lock where folders cannot be opened."""
    while True:
        temporary = _temporary_name(target, TEMPORARY)
        temporary.mkdir()
        if sys.platform == "win32":
            return temporary, None
        try:
            lock = os.open(temporary, os.O_RDONLY)
        except FileNotFoundError:  # another's sweep came before the lock
            continue
        if _lock(lock) and _is_still_there(temporary, lock):
            return temporary, lock
        os.close(lock)


def _lock(descriptor: int) -> bool:
    """Mark a file or folder as in use; tell whether no sweep has it, which will remove it.

    Where the file system knows no locks it stays unmarked.
    """
    if sys.platform != "win32":
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
    return True


def _is_still_there(path: Path, descriptor: int) -> bool:
    """Tell whether no sweep came between the creation of a temporary and its lock."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove_unlocked(path: Path) -> None:
    if sys.platform == "win32":
        return
    import fcntl

    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    finally:
        os.close(descriptor)


def _put_in_place(target: Path, temporary: Path) -> None:
    if not target.exists():
        temporary.rename(target)
    elif not _exchange(temporary, target):
        aside = _temporary_name(target, ASIDE)
        target.rename(aside)
        temporary.rename(target)
        shutil.rmtree(aside)


def _exchange(first: Path, second: Path) -> bool:
    """Swap two folders in one step, so that a name is never without one; tell whether it was done.

    Linux has a call for it, on most file systems.
    """
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    names = os.fsencode(first), os.fsencode(second)
    return (
        rename is not None
        and rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0
    )


def _bring_back(target: Path) -> None:
    """Undo the first half of a replacement whose second half never came; remove what it left."""
    stem = re.escape(f".{target.name[:_NAME_CHARACTERS]}.")
    pattern = re.compile(rf"{stem}[0-9a-f]{{8}}{re.escape(ASIDE)}", re.S)
    for aside in [path for path in target.parent.iterdir() if pattern.fullmatch(path.name)]:
        if target.exists():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(target)


@contextlib.contextmanager
def staged_path(target: Path) -> Iterator[Path]:
    """Give a free name at which the body makes a file or a folder, which then replaces `target`.

    As `staged_folder`, for results of either kind.

    Raises:
        OSError: The file system refuses.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _bring_back(target)
    sweep(target.parent)
    holder, lock = _make_folder(target)
    inside = holder / target.name
    try:
        yield inside
        if inside.is_dir() and target.is_dir():
            _put_in_place(target, inside)
        else:
            inside.replace(target)
    finally:
        shutil.rmtree(holder, ignore_errors=True)
        if lock is not None:
            os.close(lock)
