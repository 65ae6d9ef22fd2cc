"""Read CoReNet's ShapeNet-pairs and ShapeNet-triplets (google-research/corenet, CC BY 4.0).

A scene is an NPZ file: pictures, and transforms object -> world -> reconstruction space -> image.
The meshes are ShapeNetCore.v2's, which everybody has to get for himself.

Frames. Reconstruction space has x right, y up, z into the picture: it is LEFT-handed. That follows
from the format's own camera, and every scene's `camera_transform` is compared with it. Our camera
(x right, y down, z forward) is right-handed, so `CAMERA_FROM_RECONSTRUCTION` mirrors, once, and
nothing else here does. Each `view_transform . object_to_world` must then mirror, too, so that in
the end nothing is mirrored. The format's documents do not say that it does; so the sign of its
determinant is checked for every object, and a wrong one is an error. Should all scenes have it,
their pictures show mirror images of ShapeNet's meshes; `CoReNetOptions.mirrored` then mirrors the
pictures back.

Objects are taken to stand upright (+y of the mesh is up); that they agree on it is checked. The
support plane is at the lowest of them. A different scale per axis of the object goes into its box;
shear is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from p2o_shapedb.cad.shapenet import MODEL
from p2o_shapedb.database import ShapeDB
from p2o_shapedb.progress import progress
from p2o_train.data.corenet_scene import (
    CAMERA_FROM_RECONSTRUCTION,
    EYE,
    CoReNetListing,
    CoReNetScene,
    ImageKind,
    intrinsics,
    read_meshes,
    read_scene,
)
from p2o_train.data.level import level_view, sample_of
from p2o_train.data.model_boxes import ModelBoxes, box_from_matrix
from p2o_train.data.npz_fields import NpzFields
from p2o_train.data.sample import Sample
from points2objects.errors import InputError
from points2objects.geometry import Box9DoF, FloatArray

RECONSTRUCTION_CUBE = Box9DoF(np.eye(3), np.array([0, 0, 0.5 - EYE[2]]), np.ones(3))
"""Unit cube of reconstruction space, where CoReNet counts voxels, in the camera's frame."""

MIRRORED_PICTURE: FloatArray = np.diag([-1.0, 1.0, 1.0, 1.0])
"""What mirroring a picture left to right does to its camera's frame."""


@dataclass(frozen=True)
class CoReNetOptions:
    """How to read the scenes.

    Attributes:
        shapenet: Folder of ShapeNetCore.v2: <synset>/<id>/models/model_normalized.obj.
        image: Which of the two pictures: quickly drawn or path traced.
        mirrored: Mirror the pictures left to right, because the scenes' transforms show the
            meshes mirrored.
        cache: Folder that keeps where each mesh's box is, for other processes.
    """

    shapenet: Path
    image: ImageKind = "pbrt"
    mirrored: bool = False
    cache: Path | None = None


class CoReNetDataset:
    """Scenes of one folder as samples. Can be sent to other processes; files open when needed.

    A sample without objects is a scene of which nothing can be labelled.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        shapedb: ShapeDB,
        options: CoReNetOptions,
        keys: Sequence[str] | None = None,
    ) -> None:
        """List the scenes of a split.

        Args:
            root: Folder that holds the splits' folders.
            split: "triplets.train", "pairs.test", ...
            shapedb: Database built from ShapeNetCore.v2.
            options: How to read the scenes.
            keys: Scenes to take, paths below the split's folder; all by default.

        Raises:
            InputError: A folder or `dataset.json` is missing or broken.
        """
        if not options.shapenet.is_dir():
            raise InputError(
                f"--shapenet {options.shapenet}: no such folder; it should hold ShapeNetCore.v2"
            )
        self.folder = Path(root) / split
        listed = CoReNetListing.read(self.folder / "dataset.json")
        self.keys = tuple(keys) if keys is not None else listed.files
        self._synsets = listed.synsets
        self._shapedb = shapedb
        self._options = options
        self._boxes = ModelBoxes(shapedb, options.cache)
        self._models: dict[str, list[int]] = {}
        for i, model in enumerate(shapedb.models):
            self._models.setdefault(model.id.split("/")[1], []).append(i)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        path = self.folder / self.keys[index]
        scene = read_scene(path, self._options.image, self._synsets)
        found = [self._find(*pair) for pair in zip(scene.labels, scene.names, strict=True)]
        models = np.array([i for i in found if i is not None], dtype=np.int64)
        if len(models) < len(found):
            lost = next(i for i, model in enumerate(found) if model is None)
            raise InputError(
                f"{path}: shape database {self._shapedb.digest[:8]} has no model "
                f"{scene.labels[lost]}/{scene.names[lost]}; build it from all of ShapeNetCore.v2"
            )
        files = [
            self._options.shapenet / label / name / MODEL
            for label, name in zip(scene.labels, scene.names, strict=True)
        ]
        boxes_file = [self._boxes.box(int(m), f) for m, f in zip(models, files, strict=True)]
        try:
            boxes = boxes_camera(scene, boxes_file, self._options.mirrored)
            image = scene.image[:, ::-1] if self._options.mirrored else scene.image
            view = level_view(np.ascontiguousarray(image), intrinsics(len(image)), boxes)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        sample = sample_of(view, models, scene.visible_fraction, self._shapedb)
        return replace(sample, scene_cube=RECONSTRUCTION_CUBE.transformed(view.level_from_camera))

    def missing(self, index: int) -> tuple[str, ...]:
        """Return the models of a scene that the database lacks, as <synset>/<id>.

        Raises:
            InputError: The file is broken.
        """
        path = self.folder / self.keys[index]
        with NpzFields(path) as fields:
            labels, names = read_meshes(path, fields, self._synsets)
        pairs = zip(labels, names, strict=True)
        return tuple("/".join(pair) for pair in pairs if self._find(*pair) is None)

    def _find(self, label: str, name: str) -> int | None:
        """Return the model of a mesh: models from ShapeNet are named after its id."""
        found = self._models.get(name, [])
        classes = [self._shapedb.models[i].class_name for i in found]
        # A few meshes are in two synsets; the name that the data set gives the synset decides.
        human = self._synsets[label]
        return found[classes.index(human) if human in classes else 0] if found else None


def held_out_models(root: Path, scenes: str) -> tuple[str, ...]:
    """List the models of a protocol's val and test scenes, as <synset>/<id>, sorted.

    Args:
        root: Folder that holds the splits' folders.
        scenes: "single", "pairs" or "triplets".

    Raises:
        InputError: A split is not there, or a file is broken.
    """
    folders = [root / f"{scenes}.{split}" for split in ("val", "test")]
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder; unpack {folder.name}.tar below --root")
    found: set[str] = set()
    for folder in folders:
        listing = CoReNetListing.read(folder / "dataset.json")
        for file in progress(listing.files, folder.name, "scene"):
            with NpzFields(folder / file) as fields:
                pairs = zip(*read_meshes(folder / file, fields, listing.synsets), strict=True)
                found.update("/".join(pair) for pair in pairs)
    return tuple(sorted(found))


def boxes_camera(
    scene: CoReNetScene, boxes_file: Sequence[Box9DoF], mirrored: bool = False
) -> Box9DoF:
    """Return the objects' boxes in the camera's frame; its unit is reconstruction space's.

    Args:
        scene: The scene.
        boxes_file: Box of each mesh in the frame of its file.
        mirrored: Whether the picture is mirrored left to right first.

    Raises:
        InputError: An object would be seen mirrored, or is sheared.
    """
    camera_from_reconstruction = CAMERA_FROM_RECONSTRUCTION
    if mirrored:
        camera_from_reconstruction = MIRRORED_PICTURE @ CAMERA_FROM_RECONSTRUCTION
    camera_from_world = camera_from_reconstruction @ scene.reconstruction_from_world
    matrices = np.stack(
        [
            camera_from_world @ world_from_file @ box.matrix()
            for world_from_file, box in zip(scene.world_from_object, boxes_file, strict=True)
        ]
    )
    signs = np.linalg.det(matrices[:, :3, :3])
    if (signs <= 0).any():
        got, want = ("negative", "positive") if mirrored else ("positive", "negative")
        advice = "drop --mirrored" if mirrored else "if it is so in all scenes, add --mirrored"
        raise InputError(
            f"object {int(np.argmax(signs <= 0))} would be seen mirrored: the determinant of "
            f"view_transform . object_to_world is {got}, expected {want}; {advice}"
        )
    return box_from_matrix(matrices)
