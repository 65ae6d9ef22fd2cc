"""Find and start what path tracing needs: Mitsuba, LLVM and Open Image Denoise."""

import importlib
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from points2objects.errors import InputError
from points2objects.geometry import FloatArray

VARIANT = "llvm_ad_rgb"
OLDEST_LLVM = 16

_HOW = (
    "path tracing needs Mitsuba, Open Image Denoise and LLVM: pip install -c constraints.txt "
    "-e '.[pathtrace]' and, on Debian or Ubuntu, apt-get install libllvm19"
)
_LLVM_PLACES = (
    ("/usr/lib", "*/libLLVM*.so*"),
    ("/usr/lib", "llvm-*/lib/libLLVM*.so*"),
    ("/usr/lib64", "libLLVM*.so*"),
    ("/opt/homebrew/opt", "llvm*/lib/libLLVM*.dylib"),
)


def load_mitsuba() -> Any:
    """Import Mitsuba in the variant used here; one thread, as datasets use a process per core.

    Raises:
        InputError: A package or LLVM is missing; says what to install.
    """
    # The denoiser would otherwise pin every process of a pool to the same cores.
    os.environ.setdefault("OIDN_NUM_THREADS", "1")
    os.environ.setdefault("OIDN_SET_AFFINITY", "0")
    if "DRJIT_LIBLLVM_PATH" not in os.environ:
        places = (Path(root).glob(pattern) for root, pattern in _LLVM_PLACES)
        os.environ["DRJIT_LIBLLVM_PATH"] = find_llvm([str(p) for found in places for p in found])
    mitsuba, drjit, _ = (_load(name) for name in ("mitsuba", "drjit", "pyoidn"))
    if mitsuba.variant() != VARIANT:
        mitsuba.set_variant(VARIANT)
        mitsuba.set_log_level(mitsuba.LogLevel.Error)
        drjit.set_thread_count(1)
    return mitsuba


def load_drjit() -> Any:
    """Import the array library under Mitsuba, which `load_mitsuba` has started."""
    return _load("drjit")


def _load(name: str) -> Any:
    # By name: type checkers run where the packages are missing, too.
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"{_HOW} (missing here: {name})") from error


def find_llvm(paths: list[str]) -> str:
    """Choose the newest LLVM library of which Dr.Jit can make use.

    Args:
        paths: Library files found; versions are read off their names.

    Raises:
        InputError: None is new enough. Dr.Jit would abort the process with an older one.
    """
    found = [(_llvm_version(path), path) for path in paths]
    usable = [(version, path) for version, path in found if version >= OLDEST_LLVM]
    if not usable:
        versions = sorted({version for version, _ in found if version})
        have = f"only LLVM {', '.join(map(str, versions))}" if versions else "no LLVM"
        raise InputError(
            f"{_HOW} (missing here: LLVM {OLDEST_LLVM} or newer, found {have}; "
            "DRJIT_LIBLLVM_PATH names a library elsewhere)"
        )
    return max(usable)[1]


def _llvm_version(path: str) -> int:
    """Read the major version off libLLVM-19.so, libLLVM.so.19.1 or llvm-19/lib/libLLVM.so."""
    found = re.search(r"libLLVM(?:-|\.so\.)(\d+)", path) or re.search(r"llvm[-@](\d+)/", path)
    return int(found[1]) if found else 0


def denoise(radiance: FloatArray, albedo: FloatArray, normals: FloatArray) -> FloatArray:
    """Remove the noise of few samples; every array (h, w, 3), box-filtered.

    Args:
        radiance: Linear, 0 or more.
        albedo: Colour of the first surface, 0..1.
        normals: Of the first surface, -1..1.
    """
    color, guide, facing = (
        np.ascontiguousarray(plane, np.float32)
        for plane in (np.maximum(radiance, 0), np.clip(albedo, 0, 1), np.clip(normals, -1, 1))
    )
    clean = _load("pyoidn").denoise(color, albedo=guide, normal=facing, hdr=True)
    return np.asarray(clean)
