import io
import math
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from scipy.spatial import KDTree

from p2o_shapedb.database import ShapeDB
from p2o_train.data.corenet import CoReNetDataset, CoReNetOptions
from p2o_train.data.model_boxes import ModelBoxes
from p2o_train.data.npz_fields import NpzFields
from p2o_train.data.sample import Sample
from points2objects.errors import InputError
from points2objects.geometry import transform_points

if TYPE_CHECKING:
    from tests.train.imports.conftest import CoReNetScene, CoReNetWriter


@pytest.fixture
def read(corenet: "CoReNetWriter", shapenet: Path, shapenet_db: ShapeDB, boxes: Path) -> Any:
    """Write one scene, and read it back."""

    def write_and_read(scene: "CoReNetScene", **options: Any) -> Sample:
        root = corenet.split("triplets.train", scene)
        how = CoReNetOptions(shapenet, cache=boxes, **options)
        return CoReNetDataset(root, "triplets.train", shapenet_db, how)[0]

    return write_and_read


@pytest.fixture(scope="session")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("boxes")


def seen_vertices(sample: Sample, i: int, shapedb: ShapeDB) -> Any:
    """Where our label says that the mesh of an object is seen, (v, 2)."""
    unit = np.asarray(shapedb.mesh(int(sample.model_index[i])).vertices, dtype=float)
    points = transform_points(sample.boxes[i].matrix(), unit)
    return sample.camera.project(points)[:, :2]


def apart(a: Any, b: Any) -> float:
    """Return how far a point of either set is from the other set at most (Hausdorff)."""
    return float(max(KDTree(a).query(b)[0].max(), KDTree(b).query(a)[0].max()))


def test_the_documents_camera_sees_the_documents_point(corenet: "CoReNetWriter") -> None:
    chain = corenet.object_to_pixel(corenet.camera(), np.eye(4), np.eye(4))
    x, y, _, w = chain @ [0.5, 1, 0.5, 1]
    assert (x / w, y / w) == pytest.approx((128, 46.9), abs=0.02)


def test_labels_are_seen_where_the_documents_chain_projects_the_meshes(
    read: Any, corenet: "CoReNetWriter", shapenet_db: ShapeDB
) -> None:
    scene = corenet.scene()
    sample = read(scene)
    assert [shapenet_db.models[m].id for m in sample.model_index] == [
        f"chair/{'b' * 32}", f"mug/{'d' * 32}",
    ]  # fmt: skip
    np.testing.assert_allclose(sample.visible_fraction, [0.9, 0.4], atol=1e-6)
    for i in range(2):
        assert apart(seen_vertices(sample, i, shapenet_db), scene.pixels(i)) < 0.01


def test_a_label_of_the_mirrored_mesh_would_be_noticed(
    read: Any, corenet: "CoReNetWriter", shapenet_db: ShapeDB
) -> None:
    scene = corenet.scene()
    sample = read(scene)
    unit = np.asarray(shapenet_db.mesh(int(sample.model_index[0])).vertices, dtype=float)
    for turn in np.linspace(0, 2 * np.pi, 24):
        spin = np.array(
            [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
        )
        mirrored = unit * [-1, 1, 1] @ spin.T
        points = transform_points(sample.boxes[0].matrix(), mirrored)
        assert apart(sample.camera.project(points)[:, :2], scene.pixels(0)) > 5


def test_boxes_are_where_the_objects_stand_in_camera_heights(
    read: Any, corenet: "CoReNetWriter"
) -> None:
    scene = corenet.scene()
    sample = read(scene)
    eye, height = np.array(scene.eye), scene.eye[1] - scene.floor
    heading = math.atan2(-(scene.target[0] - eye[0]), -(scene.target[2] - eye[2]))
    c, s = math.cos(-heading), math.sin(-heading)
    level_from_world = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    for i, placed in enumerate(scene.objects):
        matrix = placed.world(scene.floor)
        vertices = placed.mesh.vertices @ matrix[:3, :3].T + matrix[:3, 3]
        ground = vertices - [eye[0], scene.floor, eye[2]]
        level = ground @ level_from_world.T / height
        mesh = level_from_world @ matrix[:3, :3] / placed.size
        box = sample.boxes[i]
        # ShapeNet's meshes face -z, as ours do: the turn is the same.
        np.testing.assert_allclose(box.rotation, mesh, atol=1e-5)
        sides = np.ptp(placed.mesh.vertices, axis=0) * placed.size / height
        np.testing.assert_allclose(box.scale, sides, rtol=1e-5)
        middle = (placed.mesh.vertices.min(0) + placed.mesh.vertices.max(0)) / 2
        center = matrix[:3, :3] @ middle + matrix[:3, 3] - [eye[0], scene.floor, eye[2]]
        np.testing.assert_allclose(box.translation, level_from_world @ center / height, atol=1e-5)
        assert level[:, 1].min() == pytest.approx(0, abs=1e-6)
    assert sample.boxes.corners()[..., 1].min() == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(sample.camera.pose[:3, 3], [0, 1, 0], atol=1e-9)


def test_the_picture_is_untouched_and_either_can_be_had(
    read: Any, corenet: "CoReNetWriter"
) -> None:
    scene = corenet.scene()
    pbrt, opengl = (read(scene, image=kind).image for kind in ("pbrt", "opengl"))
    stored = Image.open(io.BytesIO(scene.fields()["pbrt_image"].tobytes())).convert("RGB")
    np.testing.assert_array_equal(pbrt, np.asarray(stored))
    np.testing.assert_array_equal(opengl, 255 - pbrt)


def test_objects_out_of_sight_carry_no_label(read: Any, corenet: "CoReNetWriter") -> None:
    chair, mug = corenet.usual
    hidden = replace(chair, visible=0.1)
    aside = replace(mug, x=9.0)
    assert read(corenet.scene((hidden, mug))).class_id.tolist() == [1]
    assert read(corenet.scene((chair, aside))).class_id.tolist() == [0]
    assert len(read(corenet.scene((hidden, aside)))) == 0


def test_the_lowest_object_is_on_the_plane_and_the_camera_must_be_above(
    read: Any, corenet: "CoReNetWriter"
) -> None:
    low = corenet.scene(eye=(0.4, -0.4, 2.3), target=(0, 0.1, 0))
    assert len(read(low)) == 0


def test_a_scale_per_axis_goes_into_the_box_and_shear_is_refused(
    read: Any, corenet: "CoReNetWriter", shapenet_db: ShapeDB
) -> None:
    chair, mug = corenet.usual
    stretched = corenet.scene((replace(chair, stretch=(1.3, 0.8, 1.1)), mug))
    sample = read(stretched)
    assert apart(seen_vertices(sample, 0, shapenet_db), stretched.pixels(0)) < 0.01
    with pytest.raises(InputError, match=r"\.npz: a transform shears the object"):
        read(corenet.scene((replace(chair, shear=0.1), mug)))


def test_objects_that_lean_differently_are_refused(read: Any, corenet: "CoReNetWriter") -> None:
    chair, mug = corenet.usual
    with pytest.raises(InputError, match=r"all stand upright, but they lean by up to \d+\.\d degr"):
        read(corenet.scene((replace(chair, lean=0.4), mug)))


def test_a_wrong_determinant_is_refused_and_mirrored_pictures_can_be_mirrored_back(
    read: Any, corenet: "CoReNetWriter", shapenet_db: ShapeDB
) -> None:
    usual, mirrored = corenet.scene(), corenet.scene(mirror=True)
    words = r"object 0 would be seen mirrored: .* is positive, expected negative; .* add --mirrored"
    with pytest.raises(InputError, match=words):
        read(mirrored)
    with pytest.raises(InputError, match="is negative, expected positive; drop --mirrored"):
        read(usual, mirrored=True)
    sample = read(mirrored, mirrored=True)
    for i in range(2):
        want = mirrored.pixels(i) * [-1, 1] + [256, 0]
        assert apart(seen_vertices(sample, i, shapenet_db), want) < 0.01
    # Its picture was drawn as a mirror image, so some pixels at the rims fall to the other side.
    assert (sample.image != read(usual).image).mean() < 0.01


def test_one_mirrored_object_among_others_is_named(read: Any, corenet: "CoReNetWriter") -> None:
    chair, mug = corenet.usual
    turned = corenet.scene((chair, replace(mug, stretch=(-1, 1, 1))))
    with pytest.raises(InputError, match="object 1 would be seen mirrored"):
        read(turned)


def test_strings_may_be_stored_as_objects(read: Any, corenet: "CoReNetWriter") -> None:
    scene = corenet.scene()
    fields = scene.fields()
    objects = {
        "mesh_labels": np.array(fields["mesh_labels"].tolist(), dtype=object),
        "mesh_filenames": np.array([n.encode() for n in fields["mesh_filenames"]], dtype=object),
        "pbrt_image": np.array(fields["pbrt_image"].tobytes(), dtype=object),
    }
    sample, usual = read(corenet.scene(changes=objects)), read(scene)
    np.testing.assert_array_equal(sample.image, usual.image)
    np.testing.assert_array_equal(sample.model_index, usual.model_index)


class Runs:
    """What a pickle may do to who loads it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_field_that_would_run_code_does_not(
    read: Any, corenet: "CoReNetWriter", tmp_path: Path
) -> None:
    target = tmp_path / "was_here"
    evil = np.array([Runs(target), "03797390"], dtype=object)
    with pytest.raises(InputError, match=r"'mesh_labels' cannot be read \(it would run pathlib"):
        read(corenet.scene(changes={"mesh_labels": evil}))
    assert not target.exists()


def webp(width: int, height: int) -> Any:
    data = io.BytesIO()
    Image.new("RGB", (width, height)).save(data, "WEBP")
    return np.array(data.getvalue())


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "missing field": ({"view_transform": None}, "has no field 'view_transform'; its fields are"),
    "shape": (
        {"mesh_object_to_world_transforms": np.eye(4)[None]},
        r"'mesh_object_to_world_transforms': expected shape \(n 4 4\), got \(1, 4, 4\)",
    ),
    "count": ({"mesh_filenames": np.array(["a" * 32])}, "expected a label and a file name per"),
    "text for numbers": ({"view_transform": np.array("x")}, "expected numbers, got <U1"),
    "numbers for text": ({"mesh_labels": np.zeros(2)}, "expected a list of strings, got float64"),
    "not finite": ({"view_transform": np.full((4, 4), np.nan)}, "values that are not finite"),
    "projective": ({"view_transform": np.ones((4, 4))}, "expected affine transforms"),
    "fractions": ({"mesh_visible_fractions": np.array([1, 90.0])}, r"must be in 0\.\.1"),
    "camera": ({"camera_transform": np.eye(4)}, "camera_transform is not CoReNet's camera"),
    "class": (
        {"mesh_labels": np.array(["03001627", "09999999"])},
        "'09999999' is no class of dataset.json, which lists 03001627, 03797390",
    ),
    "model": (
        {"mesh_filenames": np.array(["a" * 32, "e" * 32])},
        "has no model 03797390/eeee",
    ),
    "path": ({"mesh_filenames": np.array(["a" * 32, "../up"])}, r"'\.\./up' is no id of ShapeNet"),
    "picture": ({"pbrt_image": np.array(b"JFIF")}, "pbrt_image cannot be decoded"),
    "narrow picture": ({"pbrt_image": webp(8, 4)}, "expected a square picture"),
    "list of pictures": ({"pbrt_image": np.array([b"a", b"b"])}, "expected one byte string"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_wrong_with_a_file_is_one_line(
    name: str, read: Any, corenet: "CoReNetWriter"
) -> None:
    changes, words = BROKEN[name]
    with pytest.raises(InputError, match=words) as caught:
        read(corenet.scene(changes=changes))
    assert "\n" not in str(caught.value)
    assert str(corenet.root) in str(caught.value)


def test_a_truncated_picture_and_a_truncated_file_are_one_line(
    read: Any, corenet: "CoReNetWriter", shapenet: Path, shapenet_db: ShapeDB
) -> None:
    scene = corenet.scene()
    half = scene.fields()["pbrt_image"].tobytes()
    with pytest.raises(InputError, match="pbrt_image cannot be decoded"):
        read(replace(scene, changes={"pbrt_image": np.array(half[: len(half) // 2])}))
    root = corenet.split("triplets.train", scene)
    dataset = CoReNetDataset(root, "triplets.train", shapenet_db, CoReNetOptions(shapenet))
    path = root / "triplets.train" / dataset.keys[0]
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"\.npz: cannot be read as an NPZ file"):
        dataset[0]


def test_a_byte_string_keeps_the_zeros_it_ends_in(tmp_path: Path) -> None:
    # WebP pads its chunks to even lengths, and NumPy drops zeros when asked for the item.
    np.savez(tmp_path / "a.npz", plain=np.array(b"RIFF\0\0"), object=np.array(b"a\0", dtype=object))
    with NpzFields(tmp_path / "a.npz") as fields:
        assert fields.blob("plain") == b"RIFF\0\0"
        assert fields.blob("object") == b"a\0"


def test_another_mesh_under_the_same_id_is_refused(
    corenet: "CoReNetWriter", shapenet_db: ShapeDB, tmp_path: Path
) -> None:
    meshes = corenet.meshes
    other = tmp_path / "ShapeNetCore.v2"
    for synset, names in meshes.items():
        for name in names:
            swapped = meshes["03797390"]["c" * 32]
            swapped.save(other / synset / name / "models" / "model_normalized.obj")
    root = corenet.split("triplets.train", corenet.scene())
    dataset = CoReNetDataset(root, "triplets.train", shapenet_db, CoReNetOptions(other))
    words = "holds a mesh of another shape; model chair/b+ .* must have been built from this very"
    with pytest.raises(InputError, match=words):
        dataset[0]


def test_boxes_are_kept_for_other_processes(
    corenet: "CoReNetWriter", shapenet: Path, shapenet_db: ShapeDB, tmp_path: Path
) -> None:
    for synset, names in corenet.meshes.items():
        for name, mesh in names.items():
            path = shapenet / synset / name / "models" / "model_normalized.obj"
            class_name = "chair" if synset == "03001627" else "mug"
            index = shapenet_db.index(f"{class_name}/{name}")
            box = ModelBoxes(shapenet_db, tmp_path).box(index, path)
            corners = np.stack([mesh.vertices.min(0), mesh.vertices.max(0)])
            np.testing.assert_allclose(box.translation, corners.mean(0), atol=1e-6)
            np.testing.assert_allclose(box.rotation, np.eye(3), atol=1e-6)
            again = ModelBoxes(shapenet_db, tmp_path).box(index, tmp_path / "gone.obj")
            np.testing.assert_array_equal(again.matrix(), box.matrix())
    with pytest.raises(InputError, match=r"gone\.obj: cannot read it: no such file; model"):
        ModelBoxes(shapenet_db).box(0, tmp_path / "gone.obj")


def test_folders_that_are_not_there_are_named(
    corenet: "CoReNetWriter", shapenet: Path, shapenet_db: ShapeDB, tmp_path: Path
) -> None:
    options = CoReNetOptions(shapenet)
    with pytest.raises(InputError, match=r"dataset\.json: no such file; unpack CoReNet's tar"):
        CoReNetDataset(tmp_path, "pairs.val", shapenet_db, options)
    with pytest.raises(InputError, match="no such folder; it should hold ShapeNetCore"):
        CoReNetDataset(tmp_path, "pairs.val", shapenet_db, CoReNetOptions(tmp_path / "none"))
    listing = corenet.split("pairs.val", corenet.scene()) / "pairs.val" / "dataset.json"
    for text, words in (
        ('{"classes": [{"id": "1"}], "files": []}', "expected 'classes'"),
        ('{"classes": [], "files": ["/etc/passwd"]}', "expected paths below its folder"),
        ("[]", "expected a JSON object"),
    ):
        listing.write_text(text)
        with pytest.raises(InputError, match=words):
            CoReNetDataset(corenet.root, "pairs.val", shapenet_db, options)


def sent(dataset: CoReNetDataset) -> CoReNetDataset:
    """Return what another process gets."""
    data = ForkingPickler.dumps(dataset)
    return ForkingPickler.loads(data)  # type: ignore[no-any-return]  # pyright: ignore


def test_a_dataset_can_be_sent_to_another_process(
    corenet: "CoReNetWriter", shapenet: Path, shapenet_db: ShapeDB
) -> None:
    root = corenet.split("triplets.train", corenet.scene(), corenet.scene(unit=0.5))
    dataset = CoReNetDataset(root, "triplets.train", shapenet_db, CoReNetOptions(shapenet))
    copy = sent(dataset)
    assert len(copy) == 2
    for i in range(2):
        np.testing.assert_array_equal(copy[i].boxes.translation, dataset[i].boxes.translation)
    with pytest.raises(IndexError):
        dataset[2]
