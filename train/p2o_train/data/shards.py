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
from p2o_train.data.sample import Sample
from points2objects.camera import Camera
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF, rigid
from points2objects.place import CAMERA_LEVEL

MANIFEST = "dataset.json"
PLAN = "plan.json"
SCHEMA_VERSION = 1
JPEG_QUALITY = 93

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


def _cube_label(cube: Box9DoF | None) -> dict[str, Any]:
    if cube is None:
        return {}
    parts = {"rotation": cube.rotation, "translation": cube.translation, "scale": cube.scale}
    return {"scene_cube": {name: values.tolist() for name, values in parts.items()}}


def _cube_from(values: dict[str, Any] | None) -> Box9DoF | None:
    if values is None:
        return None
    return Box9DoF(**{name: np.array(value) for name, value in values.items()})


def from_label(label: dict[str, Any], jpeg: bytes, shapedb: ShapeDB) -> Sample:
    """Rebuild a sample from what `write_shard` stored.

    Raises:
        InputError: A model is not in the database.
    """
    from PIL import Image

    width, height = label["size"]
    pose = rigid(np.array(label["level_from_camera"]), CAMERA_LEVEL)
    models = np.array([shapedb.index(name) for name in label["models"]], dtype=np.int64)
    n = len(models)
    with Image.open(io.BytesIO(jpeg)) as image:
        pixels = np.array(image.convert("RGB"))
    return Sample(
        image=pixels,
        camera=Camera(np.array(label["K"]), width, height, pose),
        boxes=Box9DoF(
            np.array(label["rotation"]).reshape(n, 3, 3),
            np.array(label["translation"]).reshape(n, 3),
            np.array(label["scale"]).reshape(n, 3),
        ),
        class_id=np.array([shapedb.class_id(int(m)) for m in models], dtype=np.int64),
        model_index=models,
        visible_fraction=np.array(label["visible_fraction"], dtype=float),
        mirrored=np.zeros(n, dtype=bool),
        scene_cube=_cube_from(label.get("scene_cube")),
        unlabelled=tuple(label.get("unlabelled", ())),
    )


def _jpeg(sample: Sample) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(sample.image).save(out, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return out.getvalue()


def read_json(path: Path) -> dict[str, Any]:
    """Read one JSON object.

    Raises:
        InputError: The file is missing or broken.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a JSON file, got {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected a JSON object")
    return values
