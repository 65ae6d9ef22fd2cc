"""The dataset on disk: zip files of pictures and labels, and what describes them."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from p2o_shapedb.database import ShapeDB
from p2o_train.data.pixel_maps import read_picture
from p2o_train.data.sample import Sample
from points2objects.camera import Camera
from points2objects.errors import InputError
from points2objects.files import read_file
from points2objects.geometry import Box9DoF, FloatArray, rigid
from points2objects.place import CAMERA_LEVEL
from points2objects.strict_json import as_items, as_table, as_text, as_whole, parse_json

MANIFEST = "dataset.json"
PLAN = "plan.json"
SCHEMA_VERSION = 1
JPEG_QUALITY = 93
MOST_LABEL_BYTES = 4 << 20
MOST_MANIFEST_BYTES = 64 << 20

_ZIP_DATE = (2000, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class ShardInfo:
    """One finished shard.

    Attributes:
        name: File name below the split's folder.
        samples: How many it holds.
        sha256: Of the file.
    """

    name: str
    samples: int
    sha256: str


def shard_name(number: int) -> str:
    """Return the file name of a shard."""
    return f"shard-{number:05d}.zip"


def write_shard(
    path: Path,
    samples: Sequence[Sample],
    shapedb: ShapeDB,
    extras: Sequence[Mapping[str, bytes]] = (),
) -> None:
    """Write samples under a temporary name, then rename; equal samples give equal bytes.

    Args:
        path: Shard to write.
        samples: What it holds.
        shapedb: Database of their models.
        extras: More files of each sample by suffix, as in `pixel_maps.py`; none by default.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for number, sample in enumerate(samples):
            label = json.dumps(to_label(sample, shapedb)).encode()
            files = {".jpg": _jpeg(sample), ".json": label, **(extras[number] if extras else {})}
            for suffix, data in files.items():
                archive.writestr(zipfile.ZipInfo(f"{number:06d}{suffix}", _ZIP_DATE), data)
    temporary.replace(path)


def describe_shard(path: Path) -> ShardInfo:
    """Count and hash a shard."""
    with zipfile.ZipFile(path) as archive:
        count = sum(name.endswith(".json") for name in archive.namelist())
    return ShardInfo(path.name, count, shard_digest(path))


def shard_digest(path: Path) -> str:
    """Return the SHA-256 of a shard's bytes, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_manifest(folder: Path, plan: dict[str, Any], splits: dict[str, list[ShardInfo]]) -> None:
    """Write `dataset.json`, which makes the dataset complete."""
    manifest = plan | {
        "splits": {name: [asdict(shard) for shard in shards] for name, shards in splits.items()}
    }
    temporary = folder / f".{MANIFEST}.tmp"
    temporary.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    temporary.replace(folder / MANIFEST)


def to_label(sample: Sample, shapedb: ShapeDB) -> dict[str, Any]:
    """Return a sample's label as JSON values; models go by their ids."""
    return {
        "size": [sample.camera.width, sample.camera.height],
        "K": sample.camera.K.tolist(),
        "level_from_camera": sample.camera.pose[:3, :3].tolist(),
        "rotation": sample.boxes.rotation.tolist(),
        "translation": sample.boxes.translation.tolist(),
        "scale": sample.boxes.scale.tolist(),
        "models": [shapedb.models[int(index)].id for index in sample.model_index],
        "visible_fraction": np.round(sample.visible_fraction, 4).tolist(),
        **_cube_label(sample.scene_cube),
        **({"unlabelled": list(sample.unlabelled)} if sample.unlabelled else {}),
    }


def parse_label(text: bytes) -> Mapping[str, Any]:
    """Parse a label as it is stored.

    Raises:
        ValueError: Too long, or no JSON object.
    """
    return as_table("the label", parse_json(text, MOST_LABEL_BYTES))


def _cube_label(cube: Box9DoF | None) -> dict[str, Any]:
    if cube is None:
        return {}
    parts = {"rotation": cube.rotation, "translation": cube.translation, "scale": cube.scale}
    return {"scene_cube": {name: values.tolist() for name, values in parts.items()}}


def _cube_from(values: Any) -> Box9DoF | None:
    return None if values is None else _boxes(as_table("scene_cube", values))


def from_label(label: Mapping[str, Any], jpeg: bytes, shapedb: ShapeDB) -> Sample:
    """Rebuild a sample from what `write_shard` stored.

    Raises:
        InputError: A model is not in the database, or a value is none that a label may have.
        KeyError, ValueError: Not a label.
    """
    pixels = read_picture(jpeg, "RGB")
    width, height = (as_whole("size", side, 1) for side in as_items("size", label["size"]))
    pose = rigid(_numbers("level_from_camera", label["level_from_camera"], 3, 3), CAMERA_LEVEL)
    names = [as_text("a model", name) for name in as_items("models", label["models"])]
    models = np.array([shapedb.index(name) for name in names], dtype=np.int64)
    n = len(models)
    return Sample(
        image=pixels,
        camera=Camera(_numbers("K", label["K"], 3, 3), width, height, pose),
        boxes=_boxes(label, n),
        class_id=np.array([shapedb.class_id(int(m)) for m in models], dtype=np.int64),
        model_index=models,
        visible_fraction=_numbers("visible_fraction", label["visible_fraction"], n),
        mirrored=np.zeros(n, dtype=bool),
        scene_cube=_cube_from(label.get("scene_cube")),
        unlabelled=tuple(label.get("unlabelled", ())),
    )


def _boxes(values: Mapping[str, Any], *front: int) -> Box9DoF:
    """Read boxes; `front` is their number, or nothing for one box."""
    return Box9DoF(
        _numbers("rotation", values["rotation"], *front, 3, 3),
        _numbers("translation", values["translation"], *front, 3),
        _numbers("scale", values["scale"], *front, 3),
    )


def _numbers(name: str, values: Any, *shape: int) -> FloatArray:
    """Return finite numbers of a shape; what has no numbers may have another."""
    array = np.array(values)
    if array.size == 0 and 0 in shape:
        return np.zeros(shape)
    if array.dtype.kind not in "fiu" or array.shape != shape or not np.isfinite(array).all():
        raise InputError(f"{name}: expected finite numbers of shape {shape}, got {array.shape}")
    return array.astype(float)


def _jpeg(sample: Sample) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(sample.image).save(out, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return out.getvalue()


def read_json(path: Path) -> dict[str, Any]:
    """Read one JSON object.

    Raises:
        InputError: The file is missing, broken or too large.
    """
    try:
        values = parse_json(read_file(path, MOST_MANIFEST_BYTES), MOST_MANIFEST_BYTES)
    except ValueError as error:
        raise InputError(f"{path}: expected a JSON file, got {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a JSON object")
    return values
