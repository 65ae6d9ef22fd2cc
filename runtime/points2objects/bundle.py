"""A trained model with everything it needs to run, in one folder.

bundle.json      spec, SHA-256 of the parts, shape-database digest, metrics
model.tflite     the network
exemplars.glb    the shapes it chooses from
MODEL_CARD.md    for people; not hashed, so that it may be edited
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from points2objects.errors import BundleError, InputError
from points2objects.exemplars import MOST_PACK_BYTES, ExemplarPack
from points2objects.files import read_file, sha256
from points2objects.metadata import SPEC_METADATA, read_metadata
from points2objects.spec import ModelSpec
from points2objects.strict_json import parse_json, shortened
from points2objects.trial import try_model

BUNDLE_SCHEMA = 1
DEFAULT_BUNDLE = Path(__file__).parent / "assets" / "default"
MANIFEST, MODEL, EXEMPLARS, CARD = "bundle.json", "model.tflite", "exemplars.glb", "MODEL_CARD.md"

MOST_MODEL_BYTES = 256 << 20
_MOST_BYTES = {MANIFEST: 8 << 20, MODEL: MOST_MODEL_BYTES, EXEMPLARS: MOST_PACK_BYTES}


@dataclass(frozen=True, eq=False)
class Bundle:
    """Parts that belong together, checked.

    Attributes:
        spec: The model's contract.
        model: The TFLite file.
        exemplars: The shapes; `exemplars.digest == spec.shapedb_digest`.
        digest: SHA-256 of the manifest, which names those of the parts.
        extra: Whatever the converter noted: metrics, sources, parity.
    """

    spec: ModelSpec
    model: bytes
    exemplars: ExemplarPack
    digest: str
    extra: Mapping[str, Any]

    def __post_init__(self) -> None:
        spec, pack = self.spec, self.exemplars
        if pack.digest != spec.shapedb_digest:
            raise BundleError(
                f"{EXEMPLARS}: from shape database {pack.digest[:8]}, but the model was trained "
                f"on {spec.shapedb_digest[:8]}; run shapedb_export/export_pack.py with the "
                "database the model was trained on"
            )
        if pack.classes != spec.classes or pack.exemplars_per_class != spec.exemplars_per_class:
            raise BundleError(
                f"{EXEMPLARS}: holds {pack.exemplars_per_class} exemplars of each of "
                f"{', '.join(pack.classes)}; the model expects {spec.exemplars_per_class} of each "
                f"of {', '.join(spec.classes)}; export the pack of the model's own database"
            )
        embedded = read_metadata(self.model, SPEC_METADATA)
        if (
            embedded is not None
            and ModelSpec.from_json(embedded.decode("utf-8", "replace")) != spec
        ):
            raise BundleError(
                f"{MODEL}: carries another model's spec than {MANIFEST}; convert the checkpoint "
                "again instead of exchanging parts"
            )

    @classmethod
    def load(cls, path: Path | str | None = None, trusted: bool = False) -> "Bundle":
        """Read a bundle and check that its parts are whole and belong together.

        The interpreter trusts its model, so one from elsewhere runs once in a process of its own
        first (`points2objects.trial`). That takes about a second and is remembered.

        Args:
            path: The folder; the package's default bundle when None.
            trusted: Leave the trial out: you made the model yourself. The package's own bundle is
                always trusted.

        Raises:
            BundleError: A part is missing, damaged, too large, or from another model, or the model
                failed its trial; the message names it.
        """
        if path is None and not (DEFAULT_BUNDLE / MANIFEST).is_file():
            raise BundleError(
                "this installation carries no default bundle; pass the folder of one, which "
                "convert/to_tflite.py makes from a training run"
            )
        folder = DEFAULT_BUNDLE if path is None else Path(path)
        if not folder.is_dir():
            raise BundleError(
                f"{folder}: no such bundle folder; make one with convert/to_tflite.py"
            )
        manifest_bytes = _read(folder, MANIFEST)
        manifest = _parse_manifest(manifest_bytes)
        parts = {name: _read(folder, name) for name in (MODEL, EXEMPLARS)}
        for name, data in parts.items():
            if sha256(data) != manifest["files"].get(name):
                raise BundleError(
                    f"{name}: not the file that {MANIFEST} was written for (SHA-256 "
                    f"{sha256(data)[:8]}, expected {str(manifest['files'].get(name))[:8]}); it is "
                    "damaged or from another bundle: copy the whole bundle again"
                )
        spec = ModelSpec.from_json(json.dumps(manifest["spec"]))
        pack = _load_pack(parts[EXEMPLARS])
        extra = manifest.get("extra", {})
        bundle = cls(spec, parts[MODEL], pack, sha256(manifest_bytes), extra)
        if not trusted and not _is_default(folder):
            try_model(bundle.model, spec)
        return bundle


def write_bundle(
    folder: Path | str,
    spec: ModelSpec,
    model_bytes: bytes,
    exemplars_path: Path | str,
    card: str,
    extra: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Write a bundle folder, checked first and complete or not at all.

    Args:
        folder: Where; its parent is made when missing.
        spec: The model's contract.
        model_bytes: The TFLite file.
        exemplars_path: The pack of the database the model was trained on.
        card: Text of MODEL_CARD.md.
        extra: JSON values to keep with it: metrics, digests of sources, parity.
        overwrite: Replace an existing folder.

    Returns:
        The bundle as `Bundle.load` reads it.

    Raises:
        BundleError: The parts do not belong together.
        InputError: The folder exists, or the pack is missing or broken.
    """
    folder, exemplars_path = Path(folder), Path(exemplars_path)
    if folder.exists() and not overwrite:
        raise InputError(f"{folder}: exists already; pass --overwrite to replace it")
    ExemplarPack.load(exemplars_path)
    pack_bytes = exemplars_path.read_bytes()
    spec_values = json.loads(spec.to_json())
    manifest = {
        "schema": BUNDLE_SCHEMA,
        "name": spec.name,
        "spec": spec_values,
        "spec_sha256": _spec_digest(spec_values),
        "shapedb_digest": spec.shapedb_digest,
        "files": {MODEL: sha256(model_bytes), EXEMPLARS: sha256(pack_bytes)},
        "extra": dict(extra or {}),
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        staged = Path(scratch) / "new"
        staged.mkdir()
        (staged / MANIFEST).write_bytes(json.dumps(manifest, indent=2, allow_nan=False).encode())
        (staged / MODEL).write_bytes(model_bytes)
        (staged / EXEMPLARS).write_bytes(pack_bytes)
        (staged / CARD).write_text(card, encoding="utf-8")
        bundle = Bundle.load(staged, trusted=True)
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        staged.rename(folder)
    return bundle


def _is_default(folder: Path) -> bool:
    return DEFAULT_BUNDLE.is_dir() and folder.resolve() == DEFAULT_BUNDLE.resolve()


def _read(folder: Path, name: str) -> bytes:
    path = folder / name
    if not path.is_file():
        raise BundleError(
            f"{folder}: {name} is missing or unreadable; a bundle has {MANIFEST}, {MODEL} and "
            f"{EXEMPLARS}, as convert/to_tflite.py writes them"
        )
    try:
        return read_file(path, _MOST_BYTES[name])
    except InputError as error:
        raise BundleError(f"{error}; copy the bundle again") from error


def _parse_manifest(data: bytes) -> dict[str, Any]:
    try:
        manifest = parse_json(data, _MOST_BYTES[MANIFEST])
    except ValueError as error:
        raise BundleError(f"{MANIFEST}: not JSON ({error}); copy the bundle again") from error
    if not isinstance(manifest, dict) or manifest.get("schema") != BUNDLE_SCHEMA:
        got = manifest.get("schema") if isinstance(manifest, dict) else type(manifest).__name__
        got = shortened(got)
        raise BundleError(
            f"{MANIFEST}: this version reads schema {BUNDLE_SCHEMA}, got {got}; convert the "
            "checkpoint again or upgrade points2objects"
        )
    missing = {"spec", "spec_sha256", "files", "shapedb_digest"} - set(manifest)
    if missing or not isinstance(manifest["files"], dict):
        raise BundleError(
            f"{MANIFEST}: lacks {', '.join(sorted(missing)) or 'a table of files'}; convert the "
            "checkpoint again"
        )
    if not isinstance(manifest.get("extra", {}), dict):
        raise BundleError(
            f"{MANIFEST}: extra must be an object of JSON; convert the checkpoint again"
        )
    spec = manifest["spec"]
    try:
        digest = _spec_digest(spec)
    except RecursionError as error:
        raise BundleError(f"{MANIFEST}: its spec is nested too deeply; copy it again") from error
    if digest != manifest["spec_sha256"]:
        raise BundleError(
            f"{MANIFEST}: the spec was changed after the bundle was written; convert the "
            "checkpoint again, or pass score_threshold at run time"
        )
    if not isinstance(spec, dict) or spec.get("shapedb_digest") != manifest["shapedb_digest"]:
        raise BundleError(
            f"{MANIFEST}: spec and manifest name different shape databases; convert the "
            "checkpoint again"
        )
    return manifest


def _load_pack(data: bytes) -> ExemplarPack:
    try:
        return ExemplarPack.from_bytes(data, EXEMPLARS)
    except InputError as error:
        raise BundleError(str(error)) from error


def _spec_digest(spec_values: Any) -> str:
    return sha256(json.dumps(spec_values, sort_keys=True, separators=(",", ":")).encode())
