from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from p2o_convert.calibration import from_dataset, from_folder, spread
from p2o_convert.inputs import bundle_spec, known_sizes
from p2o_shapedb.database import ModelEntry, ShapeDB
from points2objects.errors import InputError
from points2objects.geometry import ByteArray
from points2objects.spec import ModelSpec

Image = pytest.importorskip("PIL.Image")


def write(folder: Path, images: ByteArray) -> Path:
    folder.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index:02d}.png")
    return folder


def test_pictures_of_the_model_s_own_size_come_through_unchanged(
    tmp_path: Path, spec: ModelSpec, images: ByteArray
) -> None:
    calibration = from_folder(write(tmp_path / "own", images), spec, 200)
    assert calibration.source == "20 pictures of own/"
    assert np.abs(calibration.images.astype(int) - images.astype(int)).max() <= 1


def test_a_wide_picture_is_seen_whole(tmp_path: Path, spec: ModelSpec, images: ByteArray) -> None:
    wide = images[:, : spec.input_size // 2]
    calibration = from_folder(write(tmp_path / "wide", wide), spec, 16)
    assert calibration.images.shape == (16, spec.input_size, spec.input_size, 3)
    assert (calibration.images[:, 0, 0] == np.rint(spec.mean)).all()


def test_chosen_images_are_spread_over_all() -> None:
    assert spread(5, 200) == [0, 1, 2, 3, 4]
    assert spread(101, 5) == [0, 25, 50, 75, 100]
    assert spread(0, 5) == []


def test_bad_folders_are_refused(tmp_path: Path, spec: ModelSpec, images: ByteArray) -> None:
    with pytest.raises(InputError, match="is no folder"):
        from_folder(tmp_path / "missing", spec, 200)
    with pytest.raises(InputError, match="holds 0 images, at least 16"):
        from_folder(tmp_path, spec, 200)
    with pytest.raises(InputError, match="holds 15 images, at least 16"):
        from_folder(write(tmp_path / "few", images[:15]), spec, 200)


def test_flat_and_broken_pictures_are_named(
    tmp_path: Path, spec: ModelSpec, images: ByteArray
) -> None:
    folder = write(tmp_path / "own", images)
    Image.fromarray(np.full_like(images[0], 90)).save(folder / "03.png")
    with pytest.raises(InputError, match=r"03\.png is one flat colour"):
        from_folder(folder, spec, 200)
    (folder / "03.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"03\.png is not a readable picture"):
        from_folder(folder, spec, 200)


def test_a_dataset_is_seen_at_the_model_s_own_size(
    tmp_path: Path,
    spec: ModelSpec,
    write_database: Callable[[Path, int], str],
    write_dataset: Callable[[Path, Path], None],
) -> None:
    from p2o_shapedb.database import ShapeDB
    from p2o_train.data.rendered import RenderedDataset

    write_database(tmp_path / "shapedb", 0)
    write_dataset(tmp_path / "dataset", tmp_path / "shapedb")
    shapedb = ShapeDB.load(tmp_path / "shapedb")
    calibration = from_dataset(tmp_path / "dataset", shapedb, spec, 200)
    assert spec.input_size == 128
    assert calibration.images.shape == (16, 128, 128, 3)
    stored = RenderedDataset(tmp_path / "dataset", "train", shapedb)[0].image
    # Its squares are of 32 px, so that half the size keeps each colour.
    np.testing.assert_array_equal(calibration.images[0], stored[::2, ::2])


def test_thresholds_by_class_keep_the_others_as_they_are() -> None:
    spec = ModelSpec("m", ("chair", "mug"), 1, "0" * 64, score_threshold=0.3)
    assert bundle_spec(spec, None) == spec
    changed = bundle_spec(spec, 0.25, ("mug=0.4",))
    assert changed.least_scores == (0.25, 0.4)
    for word in ("cup=0.4", "mug=1", "mug", "mug=much"):
        with pytest.raises(InputError, match=rf"expected CLASS=SCORE .* got '{word}'"):
            bundle_spec(spec, None, (word,))


@pytest.mark.parametrize(("second_m", "sofas"), [(2.4, (1.2, 2.4)), (1.2, None)])
def test_sizes_are_those_of_the_training_models(
    second_m: float, sofas: tuple[float, float] | None
) -> None:
    """A class whose models all have one size was scaled to it, so nothing is known."""
    side = np.sqrt(1 / 3)
    sizes = [("mug", 0.1, "train"), ("mug", 0.3, "train"), ("mug", 9.0, "val")]
    sizes += [("sofa", 1.2, "train"), ("sofa", second_m, "train")]
    models = tuple(
        ModelEntry(
            f"{name}/{i}",
            name,
            split,
            "made up",
            "CC0-1.0",
            "Nobody",
            True,
            (side * diagonal,) * 3,
            4,
            0,
        )
        for i, (name, diagonal, split) in enumerate(sizes)
    )
    shapedb = ShapeDB(
        classes=("mug", "sofa"),
        exemplars_per_class=1,
        models=models,
        sdf=np.zeros((2, 32, 32, 32), np.float32),
        points=np.zeros((5, 512, 3), np.float32),
        exemplar_id=np.array([0, 0, 0, 1, 1]),
        exemplar_model=np.array([0, 3]),
        soft_labels=np.ones((5, 1), np.float32),
        soft_radius=np.ones(2, np.float32),
    )
    expected = ((0.1, 0.3), sofas) if sofas else ()
    assert known_sizes(shapedb) == expected


def test_a_model_of_a_wrong_unit_does_not_count_to_the_known_sizes() -> None:
    def sizes(*diagonals: float) -> tuple[tuple[float, float], ...]:
        models = tuple(
            ModelEntry(
                f"mug/{i}",
                "mug",
                "train",
                "s",
                "CC0",
                "",
                True,
                (d * 0.6, d * 0.64, d * 0.48),
                1,
                0,
            )
            for i, d in enumerate(diagonals)
        )
        count = len(models)
        return known_sizes(
            ShapeDB(
                classes=("mug",),
                exemplars_per_class=1,
                models=models,
                sdf=np.zeros((1, 32, 32, 32), np.float32),
                points=np.zeros((count, 512, 3), np.float32),
                exemplar_id=np.zeros(count, int),
                exemplar_model=np.array([0]),
                soft_labels=np.ones((count, 1), np.float32),
                soft_radius=np.ones(1, np.float32),
            )
        )

    assert sizes(0.17, 0.18, 0.2, 6.97) == ((0.17, 0.2),)
    assert sizes(0.17, 0.18, 0.2, 0.0018) == ((0.17, 0.2),)
    assert sizes(0.15, 0.2, 6.97) == ((0.15, 0.2),)
