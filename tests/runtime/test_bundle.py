"""Bundles load whole and refuse parts that do not belong together."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import points2objects.bundle
from points2objects import Bundle, BundleError, InputError, ModelSpec, Reconstructor, write_bundle
from points2objects.files import sha256
from points2objects.metadata import read_metadata

Writer = Callable[..., bytes]


def _rehash(folder: Path) -> None:
    """Make the manifest's digests right for whatever lies in the folder now."""
    manifest = json.loads((folder / "bundle.json").read_text())
    for name in manifest["files"]:
        manifest["files"][name] = sha256((folder / name).read_bytes())
    (folder / "bundle.json").write_text(json.dumps(manifest))


def test_a_bundle_is_read_as_it_was_written(
    bundle_folder: Path, spec: ModelSpec, write_model: Writer
) -> None:
    bundle = Bundle.load(bundle_folder)
    assert bundle.spec == spec
    assert bundle.model == write_model(spec)
    assert bundle.extra == {"map": 0.5}
    assert bundle.exemplars.names == ("chair/00", "chair/01", "mug/00", "mug/01")
    assert bundle.digest == sha256((bundle_folder / "bundle.json").read_bytes())
    names = {path.name for path in bundle_folder.iterdir()}
    assert names == {"bundle.json", "model.tflite", "exemplars.glb", "MODEL_CARD.md"}
    assert [path.name for path in bundle_folder.parent.iterdir()] == ["tiny"]


def test_the_card_may_be_edited(bundle_folder: Path) -> None:
    (bundle_folder / "MODEL_CARD.md").write_text("better words")
    Bundle.load(bundle_folder)


def test_the_embedded_spec_is_found(spec: ModelSpec, write_model: Writer) -> None:
    model = write_model(spec)
    assert read_metadata(model, "points2objects_spec") == spec.to_json().encode()
    assert read_metadata(model, "something else") is None


def test_no_truncated_model_is_read_wrongly(spec: ModelSpec, write_model: Writer) -> None:
    model = write_model(spec)
    for size in range(0, len(model), 101):
        try:
            found = read_metadata(model[:size], "points2objects_spec")
        except BundleError:
            continue
        assert found in (None, spec.to_json().encode())


@pytest.mark.parametrize("name", ["bundle.json", "model.tflite", "exemplars.glb"])
def test_a_missing_part_is_named(bundle_folder: Path, name: str) -> None:
    (bundle_folder / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        Bundle.load(bundle_folder)


@pytest.mark.parametrize("name", ["model.tflite", "exemplars.glb"])
def test_a_truncated_part_is_named(bundle_folder: Path, name: str) -> None:
    part = bundle_folder / name
    part.write_bytes(part.read_bytes()[:-100])
    with pytest.raises(BundleError, match=f"{name}: not the file that bundle.json was written for"):
        Bundle.load(bundle_folder)
    _rehash(bundle_folder)
    if name == "exemplars.glb":
        with pytest.raises(BundleError, match=r"exemplars.glb: not a GLB .*truncated"):
            Bundle.load(bundle_folder)


def test_the_pack_of_another_database_is_refused(
    bundle_folder: Path, spec: ModelSpec, write_pack: Writer
) -> None:
    (bundle_folder / "exemplars.glb").write_bytes(write_pack(spec, digest="cd" * 32))
    with pytest.raises(BundleError, match=r"exemplars.glb: not the file .*another bundle"):
        Bundle.load(bundle_folder)
    _rehash(bundle_folder)
    with pytest.raises(
        BundleError, match=r"from shape database cdcdcdcd, but the model was trained on abababab"
    ):
        Bundle.load(bundle_folder)


def test_a_pack_of_another_count_is_refused(
    bundle_folder: Path, spec: ModelSpec, write_pack: Writer
) -> None:
    larger = replace(spec, exemplars_per_class=3)
    (bundle_folder / "exemplars.glb").write_bytes(write_pack(larger))
    _rehash(bundle_folder)
    with pytest.raises(BundleError, match="holds 3 exemplars of each of chair, mug; the model exp"):
        Bundle.load(bundle_folder)


def test_the_model_of_another_bundle_is_refused(
    bundle_folder: Path, spec: ModelSpec, write_model: Writer
) -> None:
    other = write_model(replace(spec, name="other"))
    (bundle_folder / "model.tflite").write_bytes(other)
    with pytest.raises(BundleError, match=r"model.tflite: not the file"):
        Bundle.load(bundle_folder)
    _rehash(bundle_folder)
    with pytest.raises(BundleError, match=r"model.tflite: carries another model's spec"):
        Bundle.load(bundle_folder)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda m: m.update(schema=2), "reads schema 1, got 2"),
        (lambda m: m.pop("spec"), "lacks spec"),
        (lambda m: m.update(files=[]), "lacks a table of files"),
        (lambda m: m["spec"].update(score_threshold=0.9), "spec was changed after"),
        (lambda m: m.update(shapedb_digest="00"), "name different shape databases"),
        (lambda m: m["files"].pop("model.tflite"), "model.tflite: not the file"),
    ],
)
def test_a_manifest_that_was_tampered_with_is_refused(
    bundle_folder: Path, edit: Callable[[dict[str, object]], object], words: str
) -> None:
    manifest = json.loads((bundle_folder / "bundle.json").read_text())
    edit(manifest)
    (bundle_folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=words):
        Bundle.load(bundle_folder)


@pytest.mark.parametrize("text", ["", "{", "[1]", "\xff"])
def test_a_manifest_that_is_no_manifest_is_refused(bundle_folder: Path, text: str) -> None:
    (bundle_folder / "bundle.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleError, match=r"bundle.json: (not JSON|this version reads schema 1)"):
        Bundle.load(bundle_folder)


def test_no_folder_and_no_default_are_said_clearly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BundleError, match="no such bundle folder"):
        Bundle.load(tmp_path / "nowhere")
    monkeypatch.setattr(points2objects.bundle, "DEFAULT_BUNDLE", tmp_path / "default")
    with pytest.raises(BundleError, match="carries no default bundle"):
        Reconstructor.load()


def test_the_default_is_loaded_when_the_package_carries_one(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(bundle_folder, tmp_path / "default")
    monkeypatch.setattr(points2objects.bundle, "DEFAULT_BUNDLE", tmp_path / "default")
    assert Reconstructor.load().bundle.spec.name == "tiny"


def test_writing_needs_overwrite_and_replaces_whole_folders(
    bundle_folder: Path, spec: ModelSpec, write_model: Writer
) -> None:
    pack = bundle_folder.parent.parent / "pack.glb"
    (bundle_folder / "left over").write_text("")
    with pytest.raises(InputError, match="exists already; pass --overwrite"):
        write_bundle(bundle_folder, spec, write_model(spec), pack, "card")
    write_bundle(bundle_folder, spec, write_model(spec), pack, "new card", overwrite=True)
    assert (bundle_folder / "MODEL_CARD.md").read_text() == "new card"
    assert not (bundle_folder / "left over").exists()


def test_a_refused_bundle_leaves_the_old_one(
    bundle_folder: Path, spec: ModelSpec, write_model: Writer
) -> None:
    before = Bundle.load(bundle_folder).digest
    pack = bundle_folder.parent.parent / "pack.glb"
    other = replace(spec, shapedb_digest="cd" * 32)
    with pytest.raises(BundleError, match="from shape database"):
        write_bundle(bundle_folder, other, write_model(other), pack, "card", overwrite=True)
    with pytest.raises(BundleError, match="not a TFLite model"):
        write_bundle(bundle_folder, spec, b"junk", pack, "card", overwrite=True)
    with pytest.raises(InputError, match="no such file"):
        write_bundle(bundle_folder, spec, write_model(spec), pack / "x", "card", overwrite=True)
    assert Bundle.load(bundle_folder).digest == before
    assert [path.name for path in bundle_folder.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("bundle.json", 9 << 20, "9437184 bytes; at most 8388608 are read; copy the bundle again"),
        ("model.tflite", 1 << 40, "1099511627776 bytes; at most 268435456 are read"),
        ("exemplars.glb", 65 << 20, "68157440 bytes; at most 67108864 are read"),
    ],
)
def test_a_part_that_is_too_large_is_never_read(
    bundle_folder: Path, name: str, size: int, words: str
) -> None:
    with (bundle_folder / name).open("r+b") as file:
        file.truncate(size)  # A hole: it takes no room on the disk.
    with pytest.raises(BundleError, match=words):
        Bundle.load(bundle_folder)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda m: m.update(files={"model.tflite": None, "exemplars.glb": []}), "expected None"),
        (lambda m: m.update(extra=[1]), "extra must be an object of JSON"),
        (lambda m: m.update(schema=[[0] * 100]), r"reads schema 1, got \[\[0, 0"),
        (lambda m: m.update(extra={"a": float("nan")}), "NaN is no number of JSON"),
    ],
)
def test_values_of_another_type_are_refused(
    bundle_folder: Path, edit: Callable[[dict[str, object]], object], words: str
) -> None:
    manifest = json.loads((bundle_folder / "bundle.json").read_text())
    edit(manifest)
    (bundle_folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=words):
        Bundle.load(bundle_folder)


def test_a_manifest_that_is_nested_without_end_is_refused(bundle_folder: Path) -> None:
    for text in ("[" * 200_000, '{"a":' * 200_000):
        (bundle_folder / "bundle.json").write_text(text)
        with pytest.raises(BundleError, match=r"bundle.json: not JSON \(JSON that is nested"):
            Bundle.load(bundle_folder)
