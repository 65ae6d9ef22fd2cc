"""Boxes as other tools write them: COCO's JSON, YOLO's text files, Pascal VOC's XML."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from points2objects.errors import InputError

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class SourceObject:
    """A box with the name its maker gave it.

    Attributes:
        label: That name.
        box: Left, top, right, bottom: px, or shares of the picture's sides.
        ignore: Marked as a crowd or as difficult.
    """

    label: str
    box: Box
    ignore: bool = False


@dataclass(frozen=True)
class SourcePhoto:
    """A picture of somebody's dataset.

    Attributes:
        path: Where it is; may be missing.
        file: What to call it, a path without "..".
        objects: Its boxes.
        size: Width and height that its boxes refer to; None if they are shares.
        licence: Its own, if the dataset says so.
    """

    path: Path
    file: str
    objects: tuple[SourceObject, ...]
    size: tuple[int, int] | None
    licence: str | None = None


def read_coco(path: Path, images: Path | None) -> list[SourcePhoto]:
    """Read COCO's instance annotations; crowds are ignored regions.

    Args:
        path: The JSON file.
        images: Folder of the pictures; that of the file by default.
    """
    content = _json(path)
    folder = path.parent if images is None else images
    try:
        names = {int(each["id"]): str(each["name"]) for each in content["categories"]}
        licences = {each["id"]: str(each["name"]) for each in content.get("licenses", ())}
        objects: dict[Any, list[SourceObject]] = {each["id"]: [] for each in content["images"]}
        for item in content["annotations"]:
            left, top, width, height = map(float, item["bbox"])
            box = (left, top, left + width, top + height)
            ignore = bool(item.get("iscrowd", 0) or item.get("ignore", 0))
            label = names[int(item["category_id"])]
            objects[item["image_id"]].append(SourceObject(label, box, ignore))
        return [
            SourcePhoto(
                path=folder / each["file_name"],
                file=_file_name(each["file_name"]),
                objects=tuple(objects[each["id"]]),
                size=(int(each["width"]), int(each["height"])),
                licence=licences.get(each.get("license")),
            )
            for each in content["images"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path}: expected COCO's images, annotations and categories ({error!r})"
        ) from error


def read_voc(root: Path, images: Path | None) -> list[SourcePhoto]:
    """Read Pascal VOC's XML files; difficult objects are ignored regions.

    Args:
        root: Folder of XML files, or one that holds Annotations/ and JPEGImages/.
        images: Folder of the pictures; JPEGImages/ or that of each XML file by default.
    """
    folder = root / "Annotations" if (root / "Annotations").is_dir() else root
    beside = root / "JPEGImages"
    if images is None and beside.is_dir():
        images = beside
    files = sorted(folder.rglob("*.xml"))
    if not files:
        raise InputError(f"{folder}: no .xml files; is it a folder of Pascal VOC annotations?")
    return [_voc_photo(file, folder, images) for file in files]


def read_yolo(root: Path, images: Path | None) -> list[SourcePhoto]:
    """Read YOLO's text files: boxes, or outlines, of which the box about them is taken.

    Args:
        root: data.yaml or a folder that holds one; otherwise a folder with a list of names,
            classes.txt, and pictures with labels beside them, or in images/ and labels/.
        images: Folder of the pictures, if data.yaml does not say or says what is not here.
    """
    folder = root if root.is_dir() else root.parent
    yaml = root if root.is_file() else folder / "data.yaml"
    settings = _yaml(yaml) if yaml.is_file() else {}
    names = _yolo_names(settings, folder)
    pictures = list(_yolo_pictures(settings, folder, images))
    if not pictures:
        raise InputError(f"{root}: no pictures; pass their folder as --images")
    with_points = "kpt_shape" in settings
    found = 0
    photos = []
    for path in pictures:
        labels = _yolo_labels_of(path)
        found += labels is not None
        objects = () if labels is None else _yolo_objects(labels, names, with_points)
        photos.append(SourcePhoto(path, _below(path, folder), objects, None))
    if not found:
        raise InputError(
            f"{root}: none of {len(pictures)} pictures has a label file; they belong into a folder "
            "labels/ in place of images/, or beside the pictures"
        )
    return photos


def _voc_photo(file: Path, folder: Path, images: Path | None) -> SourcePhoto:
    try:
        tree = ElementTree.parse(file).getroot()
        size = (int(float(_text(tree, "size/width"))), int(float(_text(tree, "size/height"))))
        objects = []
        for item in tree.findall("object"):
            # VOC counts pixels from 1, and the last one belongs to the object.
            low = [float(_text(item, f"bndbox/{side}")) - 1 for side in ("xmin", "ymin")]
            high = [float(_text(item, f"bndbox/{side}")) for side in ("xmax", "ymax")]
            difficult = (item.findtext("difficult") or "0").strip() not in ("", "0")
            box = (low[0], low[1], high[0], high[1])
            objects.append(SourceObject(_text(item, "name"), box, difficult))
        name = Path(_text(tree, "filename").replace("\\", "/")).name
    except (ElementTree.ParseError, ValueError, OSError) as error:
        raise InputError(f"{file}: not a Pascal VOC annotation ({error})") from error
    place = file.parent if images is None else images / file.parent.relative_to(folder)
    path = place / name
    if not path.is_file():
        # Tools that rename pictures often leave the old name in the file.
        path = next((p for p in _same_stem(place, file.stem)), path)
    return SourcePhoto(path, _below(path, images or folder), tuple(objects), size)


def _text(tree: ElementTree.Element, path: str) -> str:
    value = tree.findtext(path)
    if value is None or not value.strip():
        raise ValueError(f"{path} is missing")
    return value.strip()


def _same_stem(folder: Path, stem: str) -> Iterator[Path]:
    for ending in PICTURES:
        for path in (folder / f"{stem}{ending}", folder / f"{stem}{ending.upper()}"):
            if path.is_file():
                yield path


def _yolo_names(settings: dict[str, Any], folder: Path) -> dict[int, str]:
    names = settings.get("names")
    if isinstance(names, dict):
        return {int(key): str(value) for key, value in names.items()}
    if isinstance(names, list):
        return {index: str(value) for index, value in enumerate(names)}
    for name in ("classes.txt", "obj.names", "labels/classes.txt"):
        if (folder / name).is_file():
            lines = (folder / name).read_text(encoding="utf-8").splitlines()
            return dict(enumerate(line.strip() for line in lines if line.strip()))
    raise InputError(f"{folder}: no names of the classes; expected data.yaml or classes.txt")


def _yolo_pictures(settings: dict[str, Any], folder: Path, images: Path | None) -> Iterator[Path]:
    base = folder / str(settings.get("path", "."))
    listed = [settings[key] for key in ("train", "val", "test") if settings.get(key)]
    places = [images] if images is not None else []
    if images is None:
        flat = [str(p) for each in listed for p in (each if isinstance(each, list) else [each])]
        places = [_yolo_place(text, base, folder) for text in flat] or [folder]
    seen: set[Path] = set()
    for place in places:
        if place.is_file():
            lines = place.read_text(encoding="utf-8").split()
            found = [(place.parent / line) for line in lines]
        else:
            found = sorted(p for p in place.rglob("*") if p.suffix.lower() in PICTURES)
        for path in found:
            if path not in seen:
                seen.add(path)
                yield path


def _yolo_place(text: str, base: Path, folder: Path) -> Path:
    """Return where data.yaml means; some exporters write paths as seen from one folder deeper."""
    tried = [base / text, folder / text, folder / text.removeprefix("../")]
    for place in tried:
        if place.exists():
            return place
    raise InputError(f"{folder}: data.yaml names {text}, which is not there; pass --images FOLDER")


def _yolo_labels_of(picture: Path) -> Path | None:
    parts = list(picture.parts)
    places = [picture.with_suffix(".txt")]
    if "images" in parts:
        last = len(parts) - 1 - parts[::-1].index("images")
        parts[last] = "labels"
        places.insert(0, Path(*parts).with_suffix(".txt"))
    return next((place for place in places if place.is_file()), None)


def _yolo_objects(path: Path, names: dict[int, str], with_points: bool) -> tuple[SourceObject, ...]:
    objects = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            index, *values = map(float, line.split())
            label, box = names[int(index)], _yolo_box(values, with_points)
        except (ValueError, KeyError) as error:
            raise InputError(
                f"{path}, line {number}: expected a class number and a box (centre, width, height) "
                f'or an outline, as shares of the picture, got "{line.strip()[:60]}" ({error})'
            ) from error
        objects.append(SourceObject(label, box))
    return tuple(objects)


def _yolo_box(values: list[float], with_points: bool) -> Box:
    if len(values) == 4 or (with_points and len(values) > 4):
        x, y, width, height = values[:4]
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    elif len(values) >= 6 and len(values) % 2 == 0:
        box = (min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2]))
    else:
        raise ValueError(f"{len(values)} numbers after the class")
    if min(box) < -0.1 or max(box) > 1.1:
        raise ValueError("not shares of the picture, but pixels?")
    return box


def _yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected names, train and val, as YOLO's data.yaml has them")
    return content


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected COCO's JSON file ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected COCO's images, annotations and categories")
    return content


def _below(path: Path, folder: Path) -> str:
    try:
        return _file_name(path.resolve().relative_to(folder.resolve()).as_posix())
    except ValueError:
        return path.name


def _file_name(name: str) -> str:
    """Return a path that stays below a folder."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if not parts:
        raise ValueError(f"no file name: {name!r}")
    return "/".join(parts)
