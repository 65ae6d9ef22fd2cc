"""The commands that write a result, each with inputs so small that a run takes seconds."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FRAMES = ROOT / "demo" / "frames"


@dataclass(frozen=True)
class Command:
    """A command of the project.

    Attributes:
        name: How the probes call it.
        script: Its file, from the root.
        arguments: What it gets besides `--out` and `--overwrite`; `{work}` is the folder of the
            inputs.
        result: Name of what it writes.
        makes: It makes an input of the commands after it, so `prepare` runs it.
        keeps: Names beside the result that stay on purpose: caches.
    """

    name: str
    script: str
    arguments: tuple[str, ...]
    result: str
    makes: bool = False
    keeps: tuple[str, ...] = ()

    def line(self, work: Path, out: Path, overwrite: bool) -> list[str]:
        """Return the words of the command that writes to `out`."""
        words = [argument.format(work=work) for argument in self.arguments]
        extra = ["--overwrite"] if overwrite else []
        return [sys.executable, str(ROOT / self.script), *words, "--out", str(out), *extra]


_SOURCES = ("--shapedb", "{work}/shapedb", "--dataset", "{work}/dataset")

COMMANDS = (
    Command("camera", "demo/camera.py", ("--source", str(FRAMES), "--no-window"), "out"),
    Command("camera-film", "demo/camera.py", ("--source", "{work}/film.avi", "--no-window"), "out"),
    Command(
        "build_db",
        "shapedb_export/build_db.py",
        ("--procedural", "4", "--exemplars-per-class", "2", "--oracle-models", "0"),
        "shapedb",
        makes=True,
        keeps=("shapedb.cache",),
    ),
    Command(
        "export_pack",
        "shapedb_export/export_pack.py",
        ("{work}/shapedb",),
        "exemplars.glb",
        makes=True,
    ),
    Command(
        "make_dataset",
        "train/make_dataset.py",
        ("--shapedb", "{work}/shapedb", "--train", "16", "--val", "4", "--quality", "fast"),
        "dataset",
        makes=True,
    ),
    Command(
        "run",
        "train/run.py",
        (*_SOURCES, "--preset", "smoke", "--steps", "3", "--batch", "4"),
        "run",
        makes=True,
    ),
    Command(
        "to_tflite",
        "convert/to_tflite.py",
        ("{work}/run", *_SOURCES),
        "bundle",
        makes=True,
        keeps=("bundle.stages",),
    ),
    Command("evaluate", "train/evaluate.py", ("{work}/run", *_SOURCES), "scores"),
    Command(
        "render_sheet",
        "train/render_sheet.py",
        ("--shapedb", "{work}/shapedb", "--count", "2"),
        "sheet.jpg",
    ),
)


def prepare(work: Path, names: list[str]) -> None:
    """Make the inputs of the named commands, where they are not there yet."""
    work.mkdir(parents=True, exist_ok=True)
    _write_film(work / "film.avi")
    last = max(index for index, command in enumerate(COMMANDS) if command.name in names)
    for command in COMMANDS[:last]:
        out = work / command.result
        if command.makes and not out.exists() and needs(command, names):
            subprocess.run(command.line(work, out, False), check=True, stdout=subprocess.DEVNULL)


def needs(maker: Command, names: list[str]) -> bool:
    """Tell whether a named command reads, at first or second hand, what a maker makes."""
    readers = [
        command
        for command in COMMANDS
        if any(word == f"{{work}}/{maker.result}" for word in command.arguments)
    ]
    return any(command.name in names or needs(command, names) for command in readers)


def _write_film(path: Path) -> None:
    import cv2

    if path.exists():
        return
    pictures = [cv2.imread(str(picture)) for picture in sorted(FRAMES.glob("*.jpg"))]
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (320, 480))
    for picture in pictures * 5:
        assert picture is not None
        video.write(cv2.resize(picture, (320, 480)))
    video.release()
