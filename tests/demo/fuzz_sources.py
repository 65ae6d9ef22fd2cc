"""Feed damaged pictures, films and recordings to the demo, in a process of its own.

    python tests/demo/fuzz_sources.py SEED FIRST COUNT

makes inputs FIRST .. FIRST + COUNT - 1 of a seed and prints a JSON line for each before it is read
and one after: how it ended, in how many seconds, and the most memory used so far. The same seed and
number make the same input; `--keep FOLDER` writes it there instead of reading it.
"""

import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from p2o_demo.capture import open_source
from p2o_demo.config import CaptureOptions
from p2o_demo.pictures import picture_size
from p2o_demo.quiet import silence_opencv
from points2objects.errors import Points2ObjectsError
from points2objects.pipeline import Reconstructor

OPTIONS = CaptureOptions(fov_deg=60, world_up="+y", support_height=0.0)
HANG_S = 10
MOST_FRAMES = 6
Rng = np.random.Generator

ODD_NUMBERS: list[Any] = [
    0, -1, 1e-300, 1e300, float("nan"), float("inf"), -0.0, 2**31, 2**63, 2**70, 10**400, True,
    None, "7", "", [], {}, [[]], "a\0b", "../x.jpg", "\ud800",
]  # fmt: skip
ODD_WORDS = ["nan", "inf", "1e400", "-", "1,5", "x", "", "0x10", "1_0", "٣", "#", "\0", "1e-320"]
MODES = ("RGB", "RGB", "RGBA", "P", "L", "LA", "CMYK")
SIZES = [0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 30000, 65500]


def picture(rng: Rng, kind: str, modes: tuple[str, ...] = MODES) -> bytes:
    """Encode a small picture, of noise or of one colour, in one of some colour modes."""
    height, width = rng.integers(1, 64, 2)
    pixels = rng.integers(0, 255, (height, width, 3), np.uint8)
    image = Image.fromarray(pixels if rng.random() < 0.7 else np.full_like(pixels, 99))
    mode = rng.choice(modes)
    out = io.BytesIO()
    options: dict[str, Any] = {}
    if rng.random() < 0.3:
        options = {"save_all": True, "append_images": [image] * 2}
    if kind == "JPEG" and rng.random() < 0.5:
        exif = Image.Exif()
        exif[0x0112] = int(rng.integers(0, 12))
        options = {"exif": exif}
    try:
        image.convert(str(mode)).save(out, kind, **options)
    except Exception:  # not every format has every mode and series
        out = io.BytesIO()
        image.save(out, kind)
    return out.getvalue()


def film(rng: Rng, folder: Path) -> bytes:
    """Encode a short film."""
    suffix, codec = [(".avi", "MJPG"), (".mp4", "mp4v"), (".gif", "")][rng.integers(3)]
    if suffix == ".gif":
        frames = [Image.new("RGB", (24, 24), (60 * index, 0, 0)) for index in range(4)]
        out = io.BytesIO()
        frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=80)
        return out.getvalue()
    path = folder / f"film{suffix}"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10.0, (32, 24))
    for _ in range(4):
        video.write(rng.integers(0, 255, (24, 32, 3), np.uint8))
    video.release()
    data = path.read_bytes()
    path.unlink()
    return data


def damaged(rng: Rng, data: bytes) -> bytes:
    """Change bytes, cut, repeat, or write an odd size over four of them."""
    content = bytearray(data)
    for _ in range(int(rng.integers(0, 4))):
        if not content:
            break
        at = int(rng.integers(len(content)))
        if rng.random() < 0.5:
            at = min(at, int(rng.integers(1, 200)))  # headers are where the sizes are
        way = rng.integers(5)
        if way == 0:
            content[at % len(content)] = int(rng.integers(256))
        elif way == 1:
            del content[at:]
        elif way == 2:
            content[at:at] = content[at : at + int(rng.integers(1, 64))]
        elif way == 3:
            order = "big" if rng.random() < 0.5 else "little"
            size = int(rng.choice([2, 4]))
            number = int(rng.choice(SIZES)) & (256**size - 1)
            content[at : at + size] = number.to_bytes(size, order)
        else:
            del content[at : at + int(rng.integers(1, 16))]
    return bytes(content)


def pose(rng: Rng) -> list[list[float]]:
    turn = rng.uniform(-0.3, 0.3)
    cos, sin = float(np.cos(turn)), float(np.sin(turn))
    return [[cos, 0, -sin, 0.1], [0, -1, 0, 1.4], [-sin, 0, -cos, 0], [0, 0, 0, 1]]


def odd_values(rng: Rng, value: Any) -> Any:
    """Replace some leaf or branch of a JSON value by something odd, or take it away."""
    if rng.random() < 0.15:
        return ODD_NUMBERS[rng.integers(len(ODD_NUMBERS))]
    if isinstance(value, list) and value:
        index = int(rng.integers(len(value)))
        return [odd_values(rng, v) if i == index else v for i, v in enumerate(value)]
    if isinstance(value, dict) and value:
        key = sorted(value)[rng.integers(len(value))]
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return {k: odd_values(rng, v) if k == key else v for k, v in value.items()}
    return ODD_NUMBERS[rng.integers(len(ODD_NUMBERS))]


def make_picture(rng: Rng, folder: Path) -> Path:
    kind = str(rng.choice(["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF"]))
    path = folder / f"a.{str(rng.choice([kind, 'jpg', 'png', 'dng', 'mp4', 'x'])).lower()}"
    path.write_bytes(damaged(rng, picture(rng, kind)))
    return path


def make_film(rng: Rng, folder: Path) -> Path:
    path = folder / str(rng.choice(["a.mp4", "a.avi", "a.gif", "a", "a.mkv"]))
    path.write_bytes(damaged(rng, film(rng, folder)))
    return path


def make_folder(rng: Rng, folder: Path) -> Path:
    for index in range(int(rng.integers(1, 4))):
        odd = rng.bytes(int(rng.integers(0, 5))).replace(b"/", b"").replace(b"\0", b"")
        name = b"%d" % index + odd
        suffix = str(rng.choice([".jpg", ".png", ".heic", ".JPEG"])).encode()
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name + suffix)).write_bytes(
            damaged(rng, picture(rng, "JPEG"))
        )
    return folder


def make_session(rng: Rng, folder: Path) -> Path:
    (folder / "a.jpg").write_bytes(picture(rng, "JPEG", ("RGB",)))
    width, height = picture_size(folder / "a.jpg")
    frame = {
        "file": "a.jpg",
        "K": [[60.0, 0, width / 2], [0, 60.0, height / 2], [0, 0, 1]],
        "world_from_camera": pose(rng),
        "support_height": 0.0,
        "timestamp_ns": 0,
    }
    session: Any = {"points2objects_session": 1, "frames": [frame, frame, frame]}
    for _ in range(int(rng.integers(0, 3))):
        session = odd_values(rng, session)
    text = json.dumps(session).encode()
    (folder / "session.json").write_bytes(damaged(rng, text) if rng.random() < 0.3 else text)
    return folder


def make_pose_folder(rng: Rng, folder: Path) -> Path:
    (folder / "images").mkdir()
    for index in range(3):
        (folder / "images" / f"{index}.jpg").write_bytes(picture(rng, "JPEG", ("RGB",)))
    width, height = picture_size(folder / "images" / "0.jpg")
    tables: dict[str, list[list[float]]] = {
        "K.txt": [[60, 0, width / 2], [0, 60, height / 2], [0, 0, 1]],
        "poses.txt": [[n for row in pose(rng) for n in row] for _ in range(3)],
    }
    for name, table in tables.items():
        words = [[repr(float(number)) for number in row] for row in table]
        if rng.random() < 0.5:
            row = words[rng.integers(len(words))]
            row[rng.integers(len(row))] = ODD_WORDS[rng.integers(len(ODD_WORDS))]
        text = "\n".join(" ".join(row) for row in words).encode()
        (folder / name).write_bytes(damaged(rng, text) if rng.random() < 0.2 else text)
    return folder


MAKERS: list[Callable[[Rng, Path], Path]] = [
    make_picture, make_picture, make_film, make_folder, make_session, make_pose_folder,
]  # fmt: skip


def make(seed: int, index: int, folder: Path) -> Path:
    """Write one input and return what to pass as `--source`."""
    rng = np.random.default_rng([seed, index])
    return MAKERS[index % len(MAKERS)](rng, folder)


def ending(source: Path, model: Reconstructor) -> str:
    """Read an input to its end and say how that went."""
    try:
        capture = open_source(str(source), OPTIONS)
        for count, frame in enumerate(capture.frames):
            scene = model(frame.image, frame.camera, frame.timestamp_ns)
            scene.to_json()
            scene.to_glb()
            if count + 1 >= MOST_FRAMES:
                break
    except Points2ObjectsError as error:
        line = str(error)
        return "refused" if line and "\n" not in line else f"no one line: {line!r}"
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return (
            f"foreign: {type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        )
    return "read"


def say(line: str) -> None:
    """Write a line at once: the next input may end the process."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run the inputs that the command line names."""
    seed, first, count = map(int, sys.argv[1:4])
    if sys.argv[4:5] == ["--keep"]:
        for index in range(first, first + count):
            folder = Path(sys.argv[5]) / f"{seed}-{index}"
            folder.mkdir(parents=True)
            say(str(make(seed, index, folder)))
        return
    warnings.simplefilter("error")
    silence_opencv()
    model = Reconstructor.load()
    for index in range(first, first + count):
        say(json.dumps({"index": index}))
        with tempfile.TemporaryDirectory() as name:
            source = make(seed, index, Path(name))
            # Of the processor, because others may keep it busy; and a long while on the clock.
            signal.setitimer(signal.ITIMER_PROF, HANG_S)
            signal.alarm(12 * HANG_S)
            start = time.monotonic()
            how = ending(source, model)
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.alarm(0)
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        line = {"index": index, "how": how, "s": time.monotonic() - start, "peak_mb": peak_mb}
        say(json.dumps(line))


if __name__ == "__main__":
    main()
