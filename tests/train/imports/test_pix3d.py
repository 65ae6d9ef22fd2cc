import json
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from scipy.spatial import KDTree

from p2o_train.data.pix3d import Pix3DDataset, Pix3DOptions, read_image, silhouette_area
from p2o_train.data.pix3d_entry import Split
from p2o_train.data.pix3d_models import link_models
from p2o_train.data.sample import Sample
from points2objects.errors import InputError
from points2objects.geometry import transform_points

if TYPE_CHECKING:
    from tests.train.imports.conftest import Photo, Pix3DModels, Pix3DWriter

LETTER = "chair/LETTER/letter.obj"


@pytest.fixture(scope="session")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("boxes")


@pytest.fixture
def read(pix3d: "Pix3DWriter", pix3d_models: "Pix3DModels", boxes: Path, tmp_path: Path) -> Any:
    """Write one photograph, and read it back."""

    def write_and_read(photo: "Photo") -> Sample:
        everything = tmp_path / "val.txt"
        everything.write_text(f"img/{photo.name}\n")
        options = Pix3DOptions(pix3d_models.cad, val_list=everything, cache=boxes)
        return Pix3DDataset(pix3d.write(photo), "val", pix3d_models.shapedb, options)[0]

    return write_and_read


def canonical(photo: "Photo", pixels: Any) -> Any:
    """Carry pixels of an upright picture to 256 px and 60 degrees across, by hand."""
    focal_px = photo.focal_mm / 32 * photo.size[0]
    return (pixels - np.array(photo.size) / 2) / focal_px * (128 * 3**0.5) + 128


def seen_vertices(sample: Sample, models: "Pix3DModels") -> Any:
    unit = np.asarray(models.shapedb.mesh(int(sample.model_index[0])).vertices, dtype=float)
    return sample.camera.project(transform_points(sample.boxes[0].matrix(), unit))[:, :2]


def apart(a: Any, b: Any) -> float:
    return float(max(KDTree(a).query(b)[0].max(), KDTree(b).query(a)[0].max()))


@pytest.mark.parametrize(
    ("size", "focal_mm", "turn"),
    [((400, 300), 35.0, 0.7), ((240, 320), 60.0, 2.6), ((300, 300), 27.7128, -1.2)],
)
def test_labels_are_seen_where_the_authors_camera_projects_the_mesh(
    size: tuple[int, int], focal_mm: float, turn: float,
    read: Any, pix3d: "Pix3DWriter", pix3d_models: "Pix3DModels",
) -> None:  # fmt: skip
    photo = pix3d.photo(size=size, focal_mm=focal_mm, turn=turn, place=(0.05, -0.1, 2.2))
    sample = read(photo)
    pixels = photo.pixels(pix3d.meshes[LETTER])
    assert apart(seen_vertices(sample, pix3d_models), canonical(photo, pixels)) < 0.01
    assert pix3d_models.shapedb.models[sample.model_index[0]].id == "chair/LETTER__letter"
    assert sample.visible_fraction.tolist() == [1.0]
    assert sample.image.shape == (256, 256, 3)


def test_a_rolled_picture_is_turned_upright_with_its_label(
    read: Any, pix3d: "Pix3DWriter", pix3d_models: "Pix3DModels"
) -> None:
    roll = 0.3
    spin = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    upright = pix3d.photo(place=(0.05, -0.1, 2.4))
    rolled = replace(upright, roll=roll, place=(*(spin @ [0.05, -0.1]).tolist(), 2.4))
    want, sample = read(upright), read(rolled)
    pixels = canonical(upright, upright.pixels(pix3d.meshes[LETTER]))
    assert apart(seen_vertices(sample, pix3d_models), pixels) < 0.01
    np.testing.assert_allclose(sample.boxes.rotation, want.boxes.rotation, atol=1e-6)
    lit, shown = want.image[..., 0] > 127, sample.image[..., 0] > 127
    around = (slice(60, 200), slice(60, 200))  # the frames' corners differ
    assert (lit != shown)[around].mean() < 0.02
    assert (lit != shown[:, ::-1])[around].mean() > 0.1


def test_the_object_stands_on_the_plane_below_the_camera(read: Any, pix3d: "Pix3DWriter") -> None:
    photo = pix3d.photo(pitch=0.4)
    sample = read(photo)
    mesh = pix3d.meshes[LETTER].vertices
    up = np.array([0, np.cos(0.4), -np.sin(0.4)])
    seen = mesh @ photo.rotation().T + photo.place
    height = -(seen @ up).min()
    corners = sample.boxes[0].corners()
    assert corners[:, 1].min() == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(sample.boxes.scale[0], np.ptp(mesh, axis=0) / height, rtol=1e-5)
    distance = np.linalg.norm(((mesh.min(0) + mesh.max(0)) / 2) @ photo.rotation().T + photo.place)
    from_camera = np.linalg.norm(sample.boxes.translation[0] - [0, 1, 0])
    assert from_camera == pytest.approx(distance / height, rel=1e-6)


def test_hidden_and_cut_off_objects_are_less_visible(read: Any, pix3d: "Pix3DWriter") -> None:
    alone = pix3d.photo(place=(0.0, -0.1, 2.2))
    whole = read(alone)
    half = read(replace(alone, hide_below=0.5))
    assert whole.visible_fraction[0] == 1
    assert 0.3 < half.visible_fraction[0] < 0.8
    aside = read(pix3d.photo(place=(0.85, -0.1, 2.2)))
    assert 0.3 < aside.visible_fraction[0] < 0.9
    # Whole in its picture of 83 degrees, but not in the canonical view's 60.
    wide = pix3d.photo(place=(1.25, -0.1, 2.8), focal_mm=18, size=(600, 450))
    mesh = pix3d.meshes[LETTER]
    assert (wide.pixels(mesh) > 0).all()
    assert 0.3 < read(wide).visible_fraction[0] < 0.9


def test_a_silhouette_covers_the_pixels_that_it_has() -> None:
    square = np.array([[10.0, 20], [110, 20], [110, 70], [10, 70]])
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 1, 2]])
    assert silhouette_area(square - 300, faces) == pytest.approx(5000, rel=0.01)
    square[3] = np.nan
    assert silhouette_area(square, faces) == pytest.approx(2500, rel=0.02)
    assert silhouette_area(square, faces[1:2]) == 0


def test_entries_that_cannot_be_trusted_carry_no_label(read: Any, pix3d: "Pix3DWriter") -> None:
    elsewhere = pix3d.photo(changes={"bbox": [0, 0, 60, 60]})
    assert len(read(elsewhere)) == 0
    from_below = pix3d.photo(pitch=-0.5, place=(0, 0.9, 2.2))
    assert len(read(from_below)) == 0
    far = pix3d.photo(place=(0, -1, 60), focal_mm=600)
    assert len(read(far)) == 0


MIRROR = {"rot_mat": np.diag([-1.0, 1, 1]).tolist()}
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "missing field": ({"img_size": None}, "entry 0: "),
    "mirror": (MIRROR, "entry 0: rot_mat: expected a rotation, .* got determinant -1"),
    "rotation": ({"rot_mat": [[1, 0], [0, 1]]}, r"rot_mat: expected 9 finite numbers"),
    "translation": ({"trans_mat": [0, 0, "far"]}, "entry 0: could not convert"),
    "box": ({"bbox": [1, 2, 3]}, "bbox: expected 4 finite numbers"),
    "focal length": ({"focal_length": -1}, "expected a positive img_size and focal_length"),
    "flag": ({"truncated": 3}, "entry 0: expected true or false, got 3"),
    "path": ({"mask": "/etc/passwd"}, "expected a path below the root, got '/etc/passwd'"),
    "picture's size": ({"img_size": [401, 300]}, r"0001\.png: expected 401x300 px"),
    "mesh": ({"model": "model/chair/NEW/new.obj"}, "has no model chair/NEW__new; build it with"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_with_an_entry_is_one_line(
    name: str, read: Any, pix3d: "Pix3DWriter"
) -> None:
    changes, words = BROKEN[name]
    with pytest.raises(InputError, match=words) as caught:
        read(pix3d.photo(changes=changes))
    assert "\n" not in str(caught.value)


def test_broken_files_are_named(
    read: Any, pix3d: "Pix3DWriter", pix3d_models: "Pix3DModels"
) -> None:
    read(pix3d.photo())
    options = Pix3DOptions(pix3d_models.cad)
    both = [
        Pix3DDataset(pix3d.root, split, pix3d_models.shapedb, options) for split in ("train", "val")
    ]
    dataset = next(one for one in both if len(one))
    picture = pix3d.root / "img" / "chair" / "0001.png"
    picture.write_bytes(picture.read_bytes()[:100])
    with pytest.raises(InputError, match=r"0001\.png: cannot be read as a picture"):
        dataset[0]
    picture.unlink()
    with pytest.raises(InputError, match=r"0001\.png: cannot be read as a picture"):
        dataset[0]
    for text, words in (("[1", "expected Pix3D's list"), ("{}", "expected a JSON list, got dict")):
        (pix3d.root / "pix3d.json").write_text(text)
        with pytest.raises(InputError, match=words):
            Pix3DDataset(pix3d.root, "val", pix3d_models.shapedb, options)
    with pytest.raises(InputError, match="expected split 'train' or 'val', got 'test'"):
        Pix3DDataset(pix3d.root, "test", pix3d_models.shapedb, options)


def test_jpeg_grey_and_flags_as_text_are_read(read: Any, pix3d: "Pix3DWriter") -> None:
    flags = {"truncated": "false", "occluded": "false", "slightly_occluded": "true"}
    usual, jpeg = read(pix3d.photo()), pix3d.photo(name="chair/0007.jpg", changes=flags)
    sample = read(jpeg)
    assert np.abs(sample.image.astype(int) - usual.image).mean() < 3
    assert 0.9 < sample.visible_fraction[0] <= 1


def test_grey_pictures_become_rgb(tmp_path: Path) -> None:
    Image.new("L", (4, 2), 90).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png", (4, 2)), np.full((2, 4, 3), 90))


def many(pix3d: "Pix3DWriter", count: int = 60) -> Path:
    """Write entries that share five meshes, and one picture among them all."""
    names = list(pix3d.meshes)
    photos = []
    for i in range(count):
        model = names[i % len(names)]
        photos.append(pix3d.photo(f"{model.split('/')[0]}/{i:04d}.png", model))
    root = pix3d.write(photos[0])
    (entry,) = json.loads((root / "pix3d.json").read_text())
    entries = [
        entry | {"img": f"img/{p.name}", "category": p.category, "model": f"model/{p.model}"}
        for p in photos
    ]
    entries.append(entries[0] | {"img": "img/table/1749.jpg"})
    (root / "pix3d.json").write_text(json.dumps(entries))
    return root


def test_s1_holds_pictures_out_and_s2_models(
    pix3d: "Pix3DWriter", pix3d_models: "Pix3DModels"
) -> None:
    root = many(pix3d)
    listed = {entry["img"]: entry for entry in json.loads((root / "pix3d.json").read_text())}
    wanted = {name for name, entry in listed.items() if entry["category"] != "bed"}
    wanted -= {"img/table/1749.jpg"}
    splits: tuple[Split, ...] = ("s1", "s2")
    for split in splits:
        options = Pix3DOptions(pix3d_models.cad, split)
        train, val = (
            Pix3DDataset(root, name, pix3d_models.shapedb, options).keys
            for name in ("train", "val")
        )
        assert set(train) | set(val) == wanted
        assert not set(train) & set(val)
        models = [{listed[key]["model"] for key in keys} for keys in (train, val)]
        shared = models[0] & models[1]
        assert (shared == set()) == (split == "s2")
        if split == "s1":
            assert 0.1 < len(val) / len(wanted) < 0.4
            assert [listed[key]["category"] for key in train] != sorted(
                listed[key]["category"] for key in train
            )


def test_a_list_says_what_is_held_out(
    pix3d: "Pix3DWriter", pix3d_models: "Pix3DModels", tmp_path: Path
) -> None:
    root = many(pix3d, 20)
    held_out = ["img/chair/0000.png", "img/table/0002.png"]
    lines, coco = tmp_path / "val.txt", tmp_path / "pix3d_s1_test.json"
    lines.write_text("\n".join(held_out))
    coco.write_text(json.dumps({"images": [{"id": 1, "file_name": name} for name in held_out]}))
    for path in (lines, coco):
        options = Pix3DOptions(pix3d_models.cad, val_list=path)
        val = Pix3DDataset(root, "val", pix3d_models.shapedb, options)
        train = Pix3DDataset(root, "train", pix3d_models.shapedb, options)
        assert sorted(val.keys) == held_out
        assert not set(train.keys) & set(held_out)
    coco.write_text("{}")
    with pytest.raises(InputError, match=r"--val-list .*: expected a picture a line, or COCO"):
        Pix3DDataset(root, "val", pix3d_models.shapedb, options)


def test_meshes_that_are_missing_or_in_the_way_are_named(
    pix3d: "Pix3DWriter", tmp_path: Path
) -> None:
    root = pix3d.write(pix3d.photo())
    cad = tmp_path / "cad"
    assert link_models(root, cad) == link_models(root, cad) == 1
    mesh = cad / "chair" / "LETTER__letter.obj"
    mesh.unlink()
    mesh.write_text("mine")
    with pytest.raises(InputError, match="exists and is no link; choose another --cad"):
        link_models(root, cad)
    assert mesh.read_text() == "mine"
    (root / "model" / LETTER).unlink()
    with pytest.raises(InputError, match=r"letter\.obj: no such file; unpack pix3d"):
        link_models(root, tmp_path / "other")


def sent(dataset: Pix3DDataset) -> Pix3DDataset:
    """Return what another process gets."""
    data = ForkingPickler.dumps(dataset)
    return ForkingPickler.loads(data)  # type: ignore[no-any-return]  # pyright: ignore


def test_a_dataset_can_be_sent_to_another_process(
    pix3d: "Pix3DWriter", pix3d_models: "Pix3DModels"
) -> None:
    options = Pix3DOptions(pix3d_models.cad)
    for split in ("train", "val"):
        dataset = Pix3DDataset(pix3d.write(pix3d.photo()), split, pix3d_models.shapedb, options)
        copy = sent(dataset)
        assert copy.keys == dataset.keys
        for i in range(len(dataset)):
            np.testing.assert_array_equal(copy[i].image, dataset[i].image)
        with pytest.raises(IndexError):
            dataset[len(dataset)]
