"""Small datasets in other people's formats, written from the formats' documents alone.

Nothing here calls our camera, our boxes or our readers: the writers have their own pinholes.
"""

import io
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from p2o_shapedb.build import build
from p2o_shapedb.config import BuildConfig
from p2o_shapedb.database import ShapeDB

Array = npt.NDArray[Any]

SYNSETS = {"03001627": "chair", "03797390": "mug"}
CUBE_FACES = np.array(
    [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
     [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
)  # fmt: skip


@dataclass(frozen=True)
class Mesh:
    vertices: Array
    faces: Array

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"v {x:.9f} {y:.9f} {z:.9f}" for x, y, z in self.vertices]
        lines += [f"f {a} {b} {c}" for a, b, c in self.faces + 1]
        path.write_text("\n".join(lines) + "\n")


def letter(arm: float, foot: float, off_centre: float = 0.0) -> Mesh:
    """A letter F that stands on a foot: no mirror image of it is a turned copy of it.

    +y up, facing -z like ShapeNet's meshes: arms to +x, foot to -z. Diagonal 1.
    """
    blocks = [
        ((-0.1, 0.0, -0.1), (0.1, 1.0, 0.1)),
        ((0.1, 0.8, -0.1), (0.1 + arm, 1.0, 0.1)),
        ((0.1, 0.45, -0.05), (0.1 + 0.5 * arm, 0.6, 0.1)),
        ((-0.1, 0.0, -0.1 - foot), (0.05, 0.12, -0.1)),
    ]
    vertices, faces = [], []
    for i, (low, high) in enumerate(blocks):
        ends = np.array([low, high])
        corners = [[x, y, z] for x in ends[:, 0] for y in ends[:, 1] for z in ends[:, 2]]
        vertices.append(np.array(corners))
        faces.append(CUBE_FACES + 8 * i)
    points = np.concatenate(vertices)
    points = points / np.linalg.norm(np.ptp(points, axis=0))
    return Mesh(np.round(points + off_centre, 6), np.concatenate(faces))


MESHES = {
    "03001627": {"a" * 32: letter(0.6, 0.7), "b" * 32: letter(0.4, 0.5, 0.07)},
    "03797390": {"c" * 32: letter(1.2, 0.3), "d" * 32: letter(0.8, 1.1, -0.05)},
}


def silhouette(size: tuple[int, int], objects: list[tuple[Array, Array]]) -> Array:
    """Draw pixels (v, 2) and faces of some objects, (h, w), 255 where there is one."""
    picture = Image.new("L", size)
    draw = ImageDraw.Draw(picture)
    for pixels, faces in objects:
        for face in faces:
            # PIL's coordinates are those of pixel centres.
            draw.polygon([tuple(p) for p in (pixels[face] - 0.5).tolist()], fill=255)
    return np.array(picture)


def yaw(angle: float) -> Array:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def apply(matrix: Array, points: Array) -> Array:
    """Apply a 4x4 to points (v, 3), with the division by w."""
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ matrix.T
    return np.asarray(homogeneous[:, :3] / homogeneous[:, 3:])


# ---- CoReNet


def corenet_camera() -> Array:
    """`camera_transform`, from the document's perspective_rh and look_at_rh."""
    t = math.tan(math.radians(60) / 2)
    near, far = 0.0001, 10.0
    perspective = np.array(
        [[1 / t, 0, 0, 0], [0, 1 / t, 0, 0],
         [0, 0, -(far + near) / (far - near), -2 * far * near / (far - near)], [0, 0, -1, 0]]
    )  # fmt: skip
    eye, forward = np.array([0.5, 0.5, -1.3666666 + 0.5]), np.array([0.0, 0.0, 1.0])
    side = np.cross(forward, [0, -1, 0])
    up = np.cross(side, forward)
    look_at = np.eye(4)
    look_at[:3, :3] = [side, up, -forward]
    look_at[:3, 3] = -look_at[:3, :3] @ eye
    return perspective @ look_at


def object_to_pixel(camera: Array, view: Array, world: Array, size: int = 256) -> Array:
    """The document's chain."""
    scale = np.diag([size / 2, size / 2, 1, 1])
    translate = np.eye(4)
    translate[:2, 3] = 1
    return np.asarray(scale @ translate @ camera @ view @ world)


@dataclass(frozen=True)
class Placed:
    """An object on the floor of a right-handed world, +y up."""

    synset: str
    name: str
    x: float
    z: float
    turn: float
    size: float
    visible: float = 1.0
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)
    shear: float = 0.0
    lean: float = 0.0

    @property
    def mesh(self) -> Mesh:
        return MESHES[self.synset][self.name]

    def world(self, floor: float) -> Array:
        linear = yaw(self.turn) @ np.diag(self.stretch) * self.size
        linear[0, 1] += self.shear * self.size
        c, s = math.cos(self.lean), math.sin(self.lean)
        linear = linear @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
        matrix = np.eye(4)
        matrix[:3, :3] = linear
        low = apply(matrix, self.mesh.vertices)[:, 1].min()
        matrix[:3, 3] = [self.x, floor - low, self.z]
        return matrix


CHAIR_AND_MUG = (
    Placed("03001627", "b" * 32, -0.45, 0.1, 0.6, 1.0, 0.9),
    Placed("03797390", "d" * 32, 0.5, -0.1, -2.0, 0.7, 0.4),
)


@dataclass(frozen=True)
class CoReNetScene:
    """What one scene is written from; the fields of its file can be changed before it is."""

    objects: tuple[Placed, ...] = CHAIR_AND_MUG
    eye: tuple[float, float, float] = (0.4, 1.3, 2.3)
    target: tuple[float, float, float] = (0.0, 0.1, 0.0)
    floor: float = -0.2
    unit: float = 0.6  # world -> reconstruction space
    mirror: bool = False  # as if the meshes had been shown mirrored
    changes: dict[str, Any] = field(default_factory=dict)

    def view(self) -> Array:
        """`view_transform`: x right, y up, z away from the eye, as seen from it."""
        eye = np.array(self.eye)
        forward = np.array(self.target) - eye
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0, 1, 0])
        right /= np.linalg.norm(right)
        up = np.cross(right, forward)
        if self.mirror:
            right = -right
        matrix = np.eye(4)
        matrix[:3, :3] = self.unit * np.stack([right, up, forward])
        matrix[:3, 3] = np.array([0.5, 0.5, -0.8666666]) - matrix[:3, :3] @ eye
        return matrix

    def pixels(self, i: int) -> Array:
        """Where the mesh of an object is seen, (v, 2)."""
        world = self.objects[i].world(self.floor)
        chain = object_to_pixel(corenet_camera(), self.view(), world)
        return apply(chain, self.objects[i].mesh.vertices)[:, :2]

    def fields(self) -> dict[str, Any]:
        """The NPZ's fields, with NumPy's own types for strings, as released."""
        drawn = [(self.pixels(i), one.mesh.faces) for i, one in enumerate(self.objects)]
        picture = Image.fromarray(np.repeat(silhouette((256, 256), drawn)[..., None], 3, -1))
        webp, inverse = io.BytesIO(), io.BytesIO()
        picture.save(webp, "WEBP", lossless=True)
        picture.point(lambda value: 255 - value).save(inverse, "WEBP", lossless=True)
        fractions = np.array([one.visible for one in self.objects], np.float32)
        worlds = np.stack([one.world(self.floor) for one in self.objects])
        return {
            "scene_filename": np.array(b"scene"),
            "mesh_labels": np.array([one.synset for one in self.objects]),
            "mesh_filenames": np.array([one.name for one in self.objects]),
            "mesh_visible_fractions": fractions,
            "mesh_object_to_world_transforms": worlds.astype(np.float32),
            "view_transform": self.view().astype(np.float32),
            "camera_transform": corenet_camera().astype(np.float32),
            "pbrt_image": np.array(webp.getvalue()),
            "opengl_image": np.array(inverse.getvalue()),
        } | self.changes

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            path, **{name: value for name, value in self.fields().items() if value is not None}
        )


class CoReNetWriter:
    """Writes splits below a root."""

    camera = staticmethod(corenet_camera)
    object_to_pixel = staticmethod(object_to_pixel)
    scene = CoReNetScene
    placed = Placed
    meshes = MESHES
    usual = CHAIR_AND_MUG

    def __init__(self, root: Path) -> None:
        self.root = root

    def split(self, name: str, *scenes: CoReNetScene) -> Path:
        """Write a split; scenes get names like the released ones."""
        files = []
        for i, scene in enumerate(scenes):
            stem = f"{i:03x}{'0' * 61}"
            files.append(f"{stem[:3]}/{stem}.npz")
            scene.save(self.root / name / files[-1])
        classes = [{"id": k, "human_readable": v} for k, v in SYNSETS.items()]
        listing = {"classes": classes, "files": files}
        (self.root / name / "dataset.json").write_text(json.dumps(listing))
        return self.root


@pytest.fixture
def corenet(tmp_path: Path) -> CoReNetWriter:
    return CoReNetWriter(tmp_path / "corenet")


@pytest.fixture(scope="session")
def shapenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree like ShapeNetCore.v2."""
    root = tmp_path_factory.mktemp("meshes") / "ShapeNetCore.v2"
    for synset, meshes in MESHES.items():
        for name, mesh in meshes.items():
            mesh.save(root / synset / name / "models" / "model_normalized.obj")
    return root


@pytest.fixture(scope="session")
def shapenet_db(shapenet: Path, tmp_path_factory: pytest.TempPathFactory) -> ShapeDB:
    """The database that build_db.py makes of it."""
    out = tmp_path_factory.mktemp("built") / "shapedb"
    build(
        BuildConfig(
            out=out, shapenet=(shapenet,), procedural=0, classes=("chair", "mug"),
            exemplars_per_class=2, exemplars="any", val_share=0.0, oracle_models=0, workers=0,
        )
    )  # fmt: skip
    return ShapeDB.load(out)


# ---- Pix3D


@dataclass(frozen=True)
class Photo:
    """What one entry is written from: camera at the origin, x left, y up, z into the picture."""

    name: str = "chair/0001.png"
    model: str = "chair/LETTER/letter.obj"
    size: tuple[int, int] = (400, 300)
    focal_mm: float = 35.0
    turn: float = 0.7
    pitch: float = 0.35
    roll: float = 0.0
    place: tuple[float, float, float] = (0.1, -0.25, 2.2)
    hide_below: float = 1.0  # share of the picture's height below which a wall hides everything
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def category(self) -> str:
        return self.name.split("/")[0]

    def rotation(self) -> Array:
        """Object's yaw, then the camera's pitch (it looks down), then its roll."""
        c, s = math.cos(self.pitch), math.sin(self.pitch)
        tilt = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
        c, s = math.cos(self.roll), math.sin(self.roll)
        spin = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        return np.asarray(spin @ tilt.T @ yaw(self.turn))

    def pixels(self, mesh: Mesh) -> Array:
        """Where the mesh is seen, (v, 2)."""
        x, y, z = (mesh.vertices @ self.rotation().T + self.place).T
        focal_px = self.focal_mm / 32 * self.size[0]
        return np.stack(
            [self.size[0] / 2 - focal_px * x / z, self.size[1] / 2 - focal_px * y / z], axis=1
        )

    def save(self, root: Path, mesh: Mesh) -> dict[str, Any]:
        """Write picture and mask; return the entry."""
        pixels = self.pixels(mesh)
        mask = silhouette(self.size, [(pixels, mesh.faces)])
        mask[int(self.hide_below * self.size[1]) :] = 0
        stem = Path(self.name).with_suffix("")
        picture, cover = root / "img" / self.name, root / "mask" / stem.with_suffix(".png")
        for path, content in ((picture, np.repeat(mask[..., None], 3, -1)), (cover, mask)):
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(content).save(path)
        inside = np.clip(pixels, 0, self.size)
        return {
            "img": f"img/{self.name}",
            "category": self.category,
            "img_size": list(self.size),
            "mask": f"mask/{stem}.png",
            "model": f"model/{self.model}",
            "voxel": f"model/{Path(self.model).with_name('voxel.mat')}",
            "rot_mat": self.rotation().tolist(),
            "trans_mat": list(self.place),
            "focal_length": self.focal_mm,
            "cam_position": [0.0, 0.0, -1.0],
            "inplane_rotation": 0.0,
            "truncated": bool((inside != pixels).any()),
            "occluded": self.hide_below < 1,
            "slightly_occluded": False,
            "bbox": [*inside.min(axis=0).tolist(), *inside.max(axis=0).tolist()],
        } | self.changes


PIX3D_MESHES = {
    "chair/LETTER/letter.obj": letter(0.6, 0.7, 0.03),
    "chair/LETTER/other.obj": letter(0.3, 0.4),
    "table/WIDE/model.obj": letter(1.1, 0.9),
    "table/TALL/model.obj": letter(0.5, 1.0),
    "bed/BED/model.obj": letter(1.3, 1.3),
}


class Pix3DWriter:
    """Writes a folder like pix3d.zip's."""

    photo = Photo
    meshes = PIX3D_MESHES

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, *photos: Photo) -> Path:
        """Write meshes, pictures and pix3d.json."""
        for name, mesh in self.meshes.items():
            mesh.save(self.root / "model" / name)
        entries = [photo.save(self.root, self.meshes[photo.model]) for photo in photos]
        (self.root / "pix3d.json").write_text(json.dumps(entries))
        return self.root


@pytest.fixture
def pix3d(tmp_path: Path) -> Pix3DWriter:
    return Pix3DWriter(tmp_path / "pix3d")


@dataclass(frozen=True)
class Pix3DModels:
    """Meshes laid out for build_db.py, and the database made of them."""

    cad: Path
    shapedb: ShapeDB


@pytest.fixture(scope="session")
def pix3d_models(tmp_path_factory: pytest.TempPathFactory) -> Pix3DModels:
    from p2o_train.data.pix3d_models import link_models

    folder = tmp_path_factory.mktemp("pix3d_meshes")
    photos = [
        Photo(f"{model.split('/')[0]}/{i:04d}.png", model) for i, model in enumerate(PIX3D_MESHES)
    ]
    root = Pix3DWriter(folder / "pix3d").write(*photos)
    assert link_models(root, folder / "cad") == len(PIX3D_MESHES)
    build(
        BuildConfig(
            out=folder / "shapedb", cad=(folder / "cad",), front="-z", procedural=0,
            classes=("chair", "table"), exemplars_per_class=2, exemplars="any", val_share=0.0,
            oracle_models=0, workers=0,
        )
    )  # fmt: skip
    return Pix3DModels(folder / "cad", ShapeDB.load(folder / "shapedb"))
