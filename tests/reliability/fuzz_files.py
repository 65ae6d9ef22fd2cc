"""Damage bundles, exemplar packs and shards at random, read each, and say how that ended.

    python tests/reliability/fuzz_files.py SEED FIRST COUNT [--keep FOLDER]

Writes one JSON line before each input and one after, so that the last line of a process that was
ended names the input. An input depends on its seed and number alone; `--keep` writes it there.
"""

import importlib.util
import io
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from p2o_shapedb.database import ModelEntry, ShapeDB
from p2o_train.data.rendered import RenderedDataset
from p2o_train.data.shards import describe_shard, write_manifest
from points2objects import ModelSpec, Points2ObjectsError, Reconstructor
from points2objects.bundle import EXEMPLARS, MANIFEST, MODEL, write_bundle
from points2objects.exemplars import ExemplarPack
from points2objects.files import sha256
from points2objects.glb_container import join_chunks, split_chunks
from points2objects.heads import Head, Layer, heads_to_bytes

TESTS = Path(__file__).parents[1]
MOST_SECONDS = 10
SPEC = ModelSpec("tiny", ("chair", "mug"), 2, "ab" * 32, max_objects=8)

HOSTILE: tuple[Any, ...] = (
    *(None, True, "", "x" * 3000, [], {}, [[]], [None] * 50, -1, 0, 1, 2, 3, 255, 65536, 0.5, 4.0),
    *(-1e-300, 1e30, 1e308, float("nan"), float("inf"), 10**9, 2**31, 2**63, 10**30, 10**5000),
)


@dataclass(frozen=True)
class Base:
    """Sound files to damage.

    Attributes:
        bundle: Name -> bytes of a bundle's parts.
        dense: The network that makes all of its outputs itself.
        label: Of a sample.
        jpeg: Its picture.
        shapedb: Its models.
    """

    bundle: Mapping[str, bytes]
    dense: bytes
    label: bytes
    jpeg: bytes
    shapedb: ShapeDB


def make_base(folder: Path) -> Base:
    """Make the sound files, as the tests of the runtime make theirs."""
    found = importlib.util.spec_from_file_location("parts", TESTS / "runtime" / "conftest.py")
    assert found is not None
    assert found.loader is not None
    parts: Any = importlib.util.module_from_spec(found)
    found.loader.exec_module(parts)
    (folder / "pack.glb").write_bytes(parts._write_pack(SPEC))
    rng = np.random.default_rng(0)
    heads = {
        name: Head((_layer(rng, 9, 3), _layer(rng, 3, 4), _layer(rng, 4, channels)))
        for name, channels in SPEC.outputs.items()
        if name != "heatmap"
    }
    model = parts._write_model(SPEC, heads=heads_to_bytes(heads))
    write_bundle(folder / "base", SPEC, model, folder / "pack.glb", "")
    names = (MANIFEST, MODEL, EXEMPLARS)
    picture = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)).save(picture, "JPEG")
    label = {
        "size": [64, 64],
        "K": [[55.0, 0, 32], [0, 55, 32], [0, 0, 1]],
        "level_from_camera": np.diag([1.0, -1, -1]).tolist(),
        "rotation": [np.eye(3).tolist()],
        "translation": [[0.0, 0.5, -2.0]],
        "scale": [[0.5, 0.5, 0.5]],
        "models": ["chair/a"],
        "visible_fraction": [1.0],
    }
    return Base(
        {name: (folder / "base" / name).read_bytes() for name in names},
        parts._write_model(SPEC, quantised=True),
        json.dumps(label).encode(),
        picture.getvalue(),
        _database(),
    )


def _layer(rng: np.random.Generator, width: int, made: int) -> Layer:
    return Layer(rng.normal(size=(width, made)), rng.normal(size=made))


def _database() -> ShapeDB:
    entry = ModelEntry("chair/a", "chair", "train", "t", "CC0-1.0", "", True, (1.0, 1.0, 1.0), 1, 0)
    one = np.zeros(1, int)
    sdf, points = np.zeros((1, 32, 32, 32)), np.zeros((1, 512, 3))
    return ShapeDB(("chair",), 1, (entry,), sdf, points, one, one, np.ones((1, 1)), np.ones(1))


def damaged_bytes(rng: random.Random, data: bytes) -> bytes:
    """Change, cut out, repeat or cut off some bytes."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(changed))
        match rng.randrange(6):
            case 0:
                del changed[at:]
            case 1:
                del changed[at : at + rng.randrange(1, 9)]
            case 2:
                changed[at:at] = changed[at : at + rng.randrange(1, 9)]
            case 3 | 4:
                changed[at] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
            case _:
                changed[at : at + 4] = rng.choice((0, 1, 2**16, 2**31, 2**32 - 1)).to_bytes(
                    4, "little"
                )
        if not changed:
            break
    return bytes(changed)


def damaged_json(rng: random.Random, text: bytes) -> bytes:
    """Put a hostile value into a place of a document, or take one away."""
    document = json.loads(text)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(document))
        if not places:
            break
        table, key = rng.choice(places)
        old = table[key]
        if rng.random() < 0.1:
            del table[key]
        elif isinstance(old, int | float) and rng.random() < 0.4:
            table[key] = old * rng.choice((-1, 0.5, 2, 1000, 2**40))
        elif isinstance(old, list) and old and rng.random() < 0.3:
            table[key] = old * rng.choice((2, 100))
        else:
            table[key] = rng.choice(HOSTILE)
    sys.set_int_max_str_digits(0)
    made = json.dumps(document).encode()
    sys.set_int_max_str_digits(4300)
    if rng.random() < 0.03:
        made = rng.choice((b"[" * 50_000, b'{"a":' * 50_000, b"", made[: len(made) // 2]))
    return made


def _places(value: Any) -> list[tuple[Any, Any]]:
    """List everything that a document holds as (table, key)."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    found = [(value, key) for key in keys]
    for key in keys:
        if isinstance(value[key], dict | list):
            found += _places(value[key])
    return found


def damaged_pack(rng: random.Random, pack: bytes) -> bytes:
    """Damage a GLB in its document, its binary or its container."""
    if rng.random() < 0.25:
        return damaged_bytes(rng, pack)
    text, binary = split_chunks(pack)
    if rng.random() < 0.15:
        return join_chunks(text, damaged_bytes(rng, binary or b"x"))
    return join_chunks(damaged_json(rng, text), binary or b"")


def damaged_bundle(rng: random.Random, base: Base) -> dict[str, bytes]:
    """Damage one part of a bundle and make its digests right again."""
    parts = dict(base.bundle)
    what = rng.choice((MANIFEST, "spec", "spec", MODEL, MODEL, "dense", EXEMPLARS, EXEMPLARS))
    if what == "dense":
        parts[MODEL] = base.dense
    if what in (MODEL, "dense"):
        parts[MODEL] = damaged_bytes(rng, parts[MODEL])
    elif what == EXEMPLARS:
        parts[EXEMPLARS] = damaged_pack(rng, parts[EXEMPLARS])
    manifest = json.loads(parts[MANIFEST])
    if what == "spec":
        # The model would carry another spec: hide its own under another name.
        parts[MODEL] = parts[MODEL].replace(b"points2objects_spec", b"points2objects_sp_c")
        try:
            manifest["spec"] = json.loads(damaged_json(rng, json.dumps(manifest["spec"]).encode()))
        except (ValueError, RecursionError):
            manifest["spec"] = None
        if isinstance(manifest["spec"], dict):
            manifest["shapedb_digest"] = manifest["spec"].get("shapedb_digest")
        canonical = json.dumps(manifest["spec"], sort_keys=True, separators=(",", ":"))
        manifest["spec_sha256"] = sha256(canonical.encode())
    manifest["files"] = {name: sha256(parts[name]) for name in (MODEL, EXEMPLARS)}
    parts[MANIFEST] = json.dumps(manifest).encode()
    if what == MANIFEST:
        parts[MANIFEST] = rng.choice((damaged_json, damaged_bytes))(rng, parts[MANIFEST])
    return parts


def damaged_shard(rng: random.Random, base: Base) -> dict[str, bytes]:
    """Damage a label, a picture, or the zip around them."""
    label, jpeg = base.label, base.jpeg
    what = rng.randrange(4)
    if what == 0:
        jpeg = damaged_bytes(rng, jpeg)
    elif what < 3:
        label = damaged_json(rng, label)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as shard:
        shard.writestr("000000.json", label)
        shard.writestr("000000.jpg", jpeg)
    data = damaged_bytes(rng, out.getvalue()) if what == 3 else out.getvalue()
    return {"shard-00000.zip": data}


def read_bundle(folder: Path, base: Base) -> None:
    """Load a bundle and look at a picture with it, as an app would."""
    model = Reconstructor.load(folder)
    image = np.full((90, 120, 3), (124, 116, 104), np.uint8)
    image[20:40, 30:50] = (255, 0, 0)
    scene = model(image)
    scene.to_json()
    scene.to_glb()


def read_pack(folder: Path, base: Base) -> None:
    """Load an exemplar pack."""
    ExemplarPack.load(folder / EXEMPLARS).credits()


def read_shard(folder: Path, base: Base) -> None:
    """Read a dataset of one sample; the manifest says what the shard is, or would be if it were."""
    (folder / "train").mkdir()
    shard = (folder / "shard-00000.zip").rename(folder / "train" / "shard-00000.zip")
    plan = {"schema": 1, "shapedb_digest": base.shapedb.digest}
    try:
        info = describe_shard(shard)
    except Exception:  # Whoever writes a hostile manifest does not read the shard either.
        info = None
    write_manifest(folder, plan, {"train": [info] if info else [], "val": []})
    if info is None:
        manifest = json.loads((folder / "dataset.json").read_text())
        entry = {"name": shard.name, "samples": 1, "sha256": sha256(shard.read_bytes())}
        manifest["splits"]["train"] = [entry]
        (folder / "dataset.json").write_text(json.dumps(manifest))
    dataset = RenderedDataset(folder, "train", base.shapedb)
    for index in range(min(len(dataset), 2)):
        dataset[index]


Reader = Callable[[Path, Base], None]


def make_input(seed: int, number: int, base: Base) -> tuple[str, dict[str, bytes], Reader]:
    """Return the kind of an input, its files, and what reads them."""
    rng = random.Random(f"{seed} {number}")
    kind = rng.choices(("bundle", "pack", "shard"), (5, 2, 3))[0]
    if kind == "bundle":
        return kind, damaged_bundle(rng, base), read_bundle
    if kind == "pack":
        return kind, {EXEMPLARS: damaged_pack(rng, base.bundle[EXEMPLARS])}, read_pack
    return kind, damaged_shard(rng, base), read_shard


def main() -> int:
    """Read the inputs that the command line names."""
    seed, first, count = map(int, sys.argv[1:4])
    kept = Path(sys.argv[5]) if sys.argv[4:5] == ["--keep"] else None
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["XDG_CACHE_HOME"] = scratch
        base = make_base(Path(scratch))
        for number in range(first, first + count):
            kind, files, read = make_input(seed, number, base)
            folder = (kept or Path(scratch)) / f"{seed}-{number}"
            folder.mkdir(parents=True)
            for name, data in files.items():
                (folder / name).write_bytes(data)
            _say({"seed": seed, "number": number, "kind": kind})
            signal.alarm(6 * MOST_SECONDS)  # Ends this process where a busy machine cannot be why.
            _say({"number": number, "kind": kind, **_outcome(read, folder, base)})
            signal.alarm(0)
    return 0


def _outcome(read: Reader, folder: Path, base: Base) -> dict[str, Any]:
    started = time.process_time()
    try:
        read(folder, base)
        how = "read"
    except Points2ObjectsError as error:
        how = "refused" if "\n" not in str(error) else f"more than one line: {error}"
    except Exception as error:
        how = f"{type(error).__name__}: {error}"[:300]
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    peak_mb = max(usage.ru_maxrss for usage in used) // 1024
    return {"how": how, "cpu_s": round(time.process_time() - started, 2), "peak_mb": peak_mb}


def _say(line: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
