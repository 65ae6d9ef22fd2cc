"""Tell whether anything that a bundle is made of has changed, without loading any of it."""

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import p2o_convert
import p2o_shapedb
import p2o_train
import points2objects
from p2o_convert.config import ConvertConfig
from points2objects.bundle import Bundle
from points2objects.errors import BundleError

TOOLS = (
    "torch",
    "onnx",
    "onnxruntime",
    "onnx2tf",
    "litert-quantizer",
    "ai-edge-litert",
    "numpy",
    "points2objects",
)
"""Packages whose version can change the result."""

_CODE = tuple(
    Path(package.__file__).parent
    for package in (p2o_convert, p2o_shapedb, p2o_train, points2objects)
    if package.__file__
)

NOT_INPUTS = ("out", "overwrite", "verbose", "threads")


def versions() -> dict[str, str]:
    """Return the version of each tool; "none" when it is not installed."""
    found = {}
    for name in TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def fingerprint(config: ConvertConfig) -> str:
    """Return a SHA-256 over options, run, database, dataset, own pictures, tools and our code."""
    options = {key: str(value) for key, value in vars(config).items() if key not in NOT_INPUTS}
    sha = hashlib.sha256(json.dumps([options, versions()], sort_keys=True).encode())
    inputs = [
        *(config.run / name for name in ("best.pt", "checkpoint.pt", "config.json", "spec.json")),
        config.shapedb / "shapedb.json",
        config.dataset / "dataset.json",
        *sorted(path for folder in _CODE for path in folder.rglob("*.py")),
    ]
    for path in inputs:
        sha.update(path.name.encode())
        if path.is_file():
            with path.open("rb") as file:
                sha.update(hashlib.file_digest(file, "sha256").digest())
    if config.calibration is not None and config.calibration.is_dir():
        for path in sorted(config.calibration.rglob("*")):
            status = path.stat()
            sha.update(f"{path} {status.st_size} {status.st_mtime_ns}".encode())
    return sha.hexdigest()


def unchanged(config: ConvertConfig) -> bool:
    """Tell whether the bundle exists, whole, made from exactly what the options name now."""
    try:
        made = json.loads((config.out / "report.json").read_text(encoding="utf-8"))["fingerprint"]
        Bundle.load(config.out)
    except (OSError, ValueError, KeyError, TypeError, BundleError):
        return False
    return bool(made == fingerprint(config))
