import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64)
SCRIPT = Path(__file__).parents[2] / "demo" / "camera.py"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def run_inside(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    """Run the command in this process, which is much quicker: exit code, stdout, stderr."""
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
    code = runpy.run_path(str(SCRIPT))["main"]()
    out, err = capfd.readouterr()
    return code, out, err


def half_a_png() -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    data = cv2.imencode(".png", noise)[1].tobytes()
    return data[: len(data) // 2]


def test_help_needs_neither_opencv_nor_the_interpreter() -> None:
    listing = "import sys, runpy; sys.argv = ['camera.py', '--help']\n"
    listing += f"try: runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
    listing += "except SystemExit as stop: assert stop.code == 0\n"
    listing += "assert not {'cv2', 'ai_edge_litert'} & set(sys.modules)\n"
    done = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--source" in done.stdout


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("broken.mp4", b"\x00\x00\x00\x18ftypmp42", "neither a picture nor a video"),
        ("broken.jpg", b"\xff\xd8half", "not a readable picture"),
        ("half.png", half_a_png(), "not a readable picture"),
        ("grey.png", np.zeros((8, 8), np.uint8), "got grey; convert it to RGB first"),
        ("sixteen.png", np.zeros((8, 8), np.uint16), "expected 8 bits per channel, got 16 or more"),
        ("photo.heic", HEIC, "HEIC pictures are not read; save it as JPEG"),
        ("renamed.jpg", HEIC, "HEIC pictures are not read; save it as JPEG"),
        ("capture.r3d", b"PK\x03\x04" + bytes(99), "is a ZIP archive; unpack it"),
        ("list.mp4", b"#EXTM3U\nhttp://127.0.0.1/x", "is a playlist, which is not read"),
        ("missing.jpg", None, "no such file"),
        (".", None, "holds no pictures"),
    ],
)
def test_bad_input_gives_one_line_and_code_2(
    tmp_path: Path,
    name: str,
    content: bytes | np.ndarray | None,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    source = tmp_path / name
    if isinstance(content, bytes):
        source.write_bytes(content)
    elif content is not None:
        cv2.imwrite(str(source), content)
    out = tmp_path / "out"
    code, stdout, stderr = run_inside(
        monkeypatch, capfd, "--source", source, "--out", out, "--no-window"
    )
    assert (code, stdout) == (2, "")
    assert stderr.startswith("error: ")
    assert words in stderr
    assert stderr.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--fov-deg", "0", "--fov-deg must be in 1..179, got 0.0"),
        ("--support-height", "nan", "--support-height must be a number, got nan"),
        ("--score", "1.5", "--score must be in 0..1, got 1.5"),
        ("--max-frames", "0", "--max-frames must be at least 1, got 0"),
        ("--threads", "0", "--threads must be at least 1, got 0"),
    ],
)
def test_refused_options_are_named(option: str, value: str, words: str) -> None:
    done = run("--source", "0", option, value)
    assert done.returncode == 2
    assert done.stderr == f"error: {words}\n"


def test_unwritable_output_gives_one_line_and_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), np.uint8))
    out = tmp_path / "file" / "x"
    code, _, stderr = run_inside(
        monkeypatch, capfd, "--source", tmp_path / "a.png", "--out", out, "--no-window"
    )
    assert code == 2
    assert stderr == f"error: cannot write {out}: Not a directory; choose another --out\n"


def test_a_good_run_says_one_line_and_nothing_else(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((60, 80, 3), 128, np.uint8))
    done = run("--source", tmp_path / "a.png", "--out", tmp_path / "out", "--no-window")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"wrote {tmp_path / 'out'} (1 frames, ")
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""
