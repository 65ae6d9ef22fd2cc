"""The whole command on a small chain of files: database, dataset, run."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from p2o_convert.config import ConvertConfig
from points2objects.bundle import Bundle
from points2objects.errors import BundleError, InputError
from points2objects.spec import ModelSpec

if TYPE_CHECKING:
    from p2o_train.config import NetworkConfig

pytestmark = pytest.mark.convert

CONVERT = Path(__file__).parents[2] / "convert"
SIDE = 128
"""Of the network's input, px."""

DatabaseWriter = Callable[[Path, int], str]
DatasetWriter = Callable[[Path, Path], None]
Run = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Chain:
    """Folders of one small chain, and the options that name them."""

    folder: Path

    def options(self, out: str, run: str = "run") -> list[str]:
        return [
            str(self.folder / run),
            *("--out", str(self.folder / out)),
            *("--shapedb", str(self.folder / "shapedb")),
            *("--dataset", str(self.folder / "dataset")),
            *("--calibration-images", "16", "--parity-images", "2", "--threads", "1"),
            *("--layer-images", "1"),
            *("--score-threshold", "0.25", "--data-note", "Skies are CC0."),
            *("--licence", "CC-BY-4.0"),
        ]


def command(script: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(CONVERT / script), *options],
        capture_output=True,
        text=True,
        check=False,
    )


def write_run(folder: Path, network: "NetworkConfig", digest: str) -> None:
    """Save an untrained network as `train/run.py` does."""
    import torch

    from p2o_train.checkpoint import BEST, CONFIG, SPEC
    from p2o_train.config import TrainConfig
    from p2o_train.network.build import build_network

    spec = ModelSpec("tiny", ("mug", "sofa"), 1, digest, input_size=SIDE)
    config = replace(TrainConfig(), network=network, input_size=SIDE)
    folder.mkdir()
    (folder / CONFIG).write_text(config.to_json())
    (folder / SPEC).write_text(spec.to_json())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = build_network(network, spec).state_dict()
    torch.save({"network": weights, "step": 1}, folder / BEST)


@pytest.fixture(scope="module")
def chain(
    tmp_path_factory: pytest.TempPathFactory,
    write_database: DatabaseWriter,
    write_dataset: DatasetWriter,
    tiny_network: "NetworkConfig",
    run_script: Run,
) -> Chain:
    folder = tmp_path_factory.mktemp("chain")
    digest = write_database(folder / "shapedb", 0)
    write_dataset(folder / "dataset", folder / "shapedb")
    write_run(folder / "run", replace(tiny_network, separable_heads=True), digest)
    done = run_script(CONVERT / "to_tflite.py", *Chain(folder).options("bundle"))
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"wrote {folder / 'bundle'} (")
    assert "Traceback" not in done.stderr
    return Chain(folder)


def test_the_bundle_is_whole_and_says_how_good_it_is(chain: Chain) -> None:
    folder = chain.folder / "bundle"
    bundle = Bundle.load(folder)
    assert bundle.spec.name == "tiny"
    assert bundle.spec.score_threshold == 0.25
    assert bundle.spec.sizes_m == ()  # one model a class says nothing about sizes
    assert {path.name for path in folder.iterdir()} == {
        *("bundle.json", "model.tflite", "exemplars.glb", "MODEL_CARD.md"),
        *("report.json", "report.md"),
    }
    report = json.loads((folder / "report.json").read_text())
    assert bundle.extra["conversion"] == report
    assert report["first_broken"] is None
    assert set(report["scores"]) == {"float32", "int8"}
    assert report["scored_images"] == 3
    assert [step["name"] for step in report["steps"]] == [
        *("torch -> onnx", "onnx -> equalised", "equalised -> float32", "float32 -> int8")
    ]
    assert all(set(step["heads"]) == set(bundle.spec.outputs) for step in report["steps"])
    assert report["shipped"] == report["ranked"] == "int8"
    assert [f["kind"] for f in report["delegates"]["int8"]["fallbacks"]] == ["QUANTIZE"]
    assert set(report["ends"]) == {"float32", "int8"}
    assert report["scores"]["int8"]["agreement"]["peaks"] >= 0


def test_the_card_says_data_licence_metrics_and_limits(chain: Chain) -> None:
    card = (chain.folder / "bundle" / "MODEL_CARD.md").read_text()
    for words in (
        "licence CC0-1.0",
        "Credits:\n\n- Nobody",
        "Skies are CC0.",
        "int8",
        "map50",
        "## Limits",
        "Not for decisions about safety",
        "licence of the weights: CC-BY-4.0",
    ):
        assert words in card, words


def test_the_spec_is_read_by_standard_tools(chain: Chain) -> None:
    """As metadata of the flatbuffer, through the schema that ships with the interpreter."""
    from ai_edge_litert import schema_py_generated as schema

    tflite = (chain.folder / "bundle" / "model.tflite").read_bytes()
    model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(tflite, 0))
    (entry,) = (e for e in model.metadata if e.name == b"points2objects_spec")
    text = bytes(model.buffers[entry.buffer].data).decode()
    assert json.loads(text)["classes"] == ["mug", "sofa"]
    assert json.loads(text)["score_threshold"] == 0.25


def test_the_files_of_each_stage_lie_beside_it(chain: Chain) -> None:
    names = {path.name for path in (chain.folder / "bundle.stages").iterdir()}
    assert {"model.onnx", "model_equalised.onnx", "report.md", "report.json"} <= names
    assert {"model_float32.tflite", "model_int8.tflite"} <= names
    assert not [path for path in chain.folder.iterdir() if path.name.startswith(".")]


def test_a_second_run_does_nothing(chain: Chain) -> None:
    before = (chain.folder / "bundle" / "bundle.json").stat().st_mtime_ns
    done = command("to_tflite.py", *chain.options("bundle"))
    assert done.returncode == 0, done.stderr
    assert "is up to date" in done.stdout
    assert (chain.folder / "bundle" / "bundle.json").stat().st_mtime_ns == before


def test_a_second_run_loads_nothing_heavy(chain: Chain) -> None:
    """It is instant because of what it does not import."""
    script = (
        "import runpy, sys\n"
        "sys.argv[0] = 'to_tflite.py'\n"
        "try:\n"
        f"    runpy.run_path({str(CONVERT / 'to_tflite.py')!r}, run_name='__main__')\n"
        "except SystemExit:\n"
        "    print(sorted({'torch', 'onnx', 'scipy', 'litert_quantizer'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *chain.options("bundle")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
    assert "is up to date" in done.stdout


def test_an_interrupted_run_leaves_nothing(chain: Chain) -> None:
    """Ctrl-C while the stages are being made."""
    import signal
    import time

    started = subprocess.Popen(
        [sys.executable, str(CONVERT / "to_tflite.py"), *chain.options("interrupted")],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 300
    while not list(chain.folder.glob(".interrupted.stages.*")) and time.monotonic() < deadline:
        assert started.poll() is None
        time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=300)
    assert started.returncode == 130, said
    assert said.splitlines()[-1] == "error: interrupted"
    assert [path.name for path in chain.folder.iterdir() if "interrupted" in path.name] == []


def test_other_options_do_not_replace_a_bundle_unasked(chain: Chain) -> None:
    done = command("to_tflite.py", *chain.options("bundle"), "--formats", "float32")
    assert done.returncode == 2
    assert "add --overwrite" in done.stderr


def test_compare_checks_the_existing_stages(chain: Chain, run_script: Run) -> None:
    options = chain.options("unused")
    few = ("--images", "16", "--threads", "1")
    bundle = chain.folder / "bundle"
    done = run_script(CONVERT / "compare.py", bundle, options[0], *options[3:7], *few)
    assert done.returncode == 0, done.stderr
    assert "model_float32.tflite -> model.tflite" in done.stdout


def benchmark_options(chain: Chain) -> list[str]:
    options = chain.options("unused")
    return [
        *(str(chain.folder / "bundle"), *options[3:7]),
        *("--repeats", "2", "--threads", "1", "--evaluate", "2"),
        *("--out", str(chain.folder / "bench.json")),
    ]


def test_the_benchmark_compares_all_forms_of_the_model(chain: Chain, run_script: Run) -> None:
    run = chain.folder / "run"
    done = run_script(CONVERT / "benchmark.py", *benchmark_options(chain), "--run", run)
    assert done.returncode == 0, done.stderr
    values = json.loads((chain.folder / "bench.json").read_text())
    names = ["torch", "onnx", "equalised", "float32", "int8"]
    assert list(values["timings"]) == list(values["scores"]) == names
    assert values["shipped"] == "int8"
    assert {len(timings) for timings in values["timings"].values()} == {1}
    assert values["bytes"]["int8"] < values["bytes"]["float32"]
    assert (chain.folder / "bench.md").read_text() in done.stdout


def test_the_benchmark_fails_below_a_figure(chain: Chain, run_script: Run) -> None:
    benchmark = CONVERT / "benchmark.py"
    done = run_script(benchmark, *benchmark_options(chain), "--fail-below", "map50=1.5")
    assert done.returncode == 1
    assert "map50 of int8 is" in done.stderr
    assert "below 1.5" in done.stderr
    unknown = run_script(benchmark, *benchmark_options(chain), "--fail-below", "map51=0.1")
    assert unknown.returncode == 2
    assert "no figure 'map51' of int8; it has map25, map50" in unknown.stderr


def test_the_benchmark_refuses_what_is_no_model(chain: Chain, tmp_path: Path) -> None:
    done = command("benchmark.py", str(tmp_path))
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "neither a bundle nor the folder of stages" in line
    wrong = command("benchmark.py", str(tmp_path), "--evaluate", "1", "--fail-below", "map50")
    assert wrong.returncode == 2
    assert "expected FIGURE=VALUE such as map50=0.40, got 'map50'" in wrong.stderr


def test_the_cures_are_compared(chain: Chain, run_script: Run) -> None:
    options = chain.options("unused")
    done = run_script(
        CONVERT / "compare_cures.py",
        *(options[0], *options[3:9], "--evaluate", "2", "--repeats", "1"),
        *("--only", "plain", "both-float-heatmap", "float16", "plain-qat", "--qat-steps", "1"),
        *("--out", str(chain.folder / "cures.json")),
    )
    assert done.returncode == 0, done.stderr
    values = json.loads((chain.folder / "cures.json").read_text())
    assert [cure["cure"]["name"] for cure in values["cures"]] == [
        *("plain", "both-float-heatmap", "float16", "plain-qat")
    ]
    assert "| both-float-heatmap" in (chain.folder / "cures.md").read_text()
    worst = {
        cure["cure"]["name"]: cure["step"]["heads"]["heatmap"]["relative"]
        for cure in values["cures"]
    }
    assert worst["float16"] < worst["both-float-heatmap"] < worst["plain"]


def test_a_broken_limit_names_the_stage_and_writes_no_bundle(chain: Chain, run_script: Run) -> None:
    options = [*chain.options("strict"), "--formats", "float32", "--float-limit", "1e-12"]
    done = run_script(CONVERT / "to_tflite.py", *options)
    assert done.returncode == 1
    assert "torch -> onnx breaks its limit first" in done.stderr
    assert not (chain.folder / "strict").exists()
    assert (chain.folder / "strict.stages" / "report.md").is_file()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("no run", "spec.json is missing|best.pt is missing|checkpoint.pt is missing"),
        ("no spec", "spec.json is missing"),
        ("foreign checkpoint", "not a readable checkpoint"),
        ("other database", "pass that one as --shapedb"),
        ("empty calibration", "holds 0 images, at least 16"),
    ],
)
def test_wrong_inputs_are_named(
    chain: Chain, tmp_path: Path, write_database: DatabaseWriter, change: str, words: str
) -> None:
    import shutil

    from p2o_convert.conversion import convert

    run = tmp_path / "run"
    shutil.copytree(chain.folder / "run", run)
    config = ConvertConfig(
        run=run,
        out=chain.folder / "wrong",
        shapedb=chain.folder / "shapedb",
        dataset=chain.folder / "dataset",
        calibration_images=16,
    )
    if change == "no run":
        config = replace(config, run=tmp_path)
    elif change == "no spec":
        (run / "spec.json").unlink()
    elif change == "foreign checkpoint":
        (run / "best.pt").write_bytes(b"PK of something else")
    elif change == "other database":
        write_database(tmp_path / "shapedb", 1)
        config = replace(config, shapedb=tmp_path / "shapedb")
    else:
        (tmp_path / "empty").mkdir()
        config = replace(config, calibration=tmp_path / "empty")
    with pytest.raises((InputError, BundleError), match=words):
        convert(config)
    assert not (chain.folder / "wrong").exists()
    assert not (chain.folder / "wrong.stages").exists()


@pytest.mark.parametrize(
    "options", [["--formats", "int9"], ["--ship", "float16"], ["--float-heads", "depth"]]
)
def test_wrong_options_are_one_line(chain: Chain, options: list[str]) -> None:
    done = command("to_tflite.py", *chain.options("wrong"), *options)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: ")


def test_the_command_says_so_in_one_line(chain: Chain) -> None:
    done = command("to_tflite.py", *chain.options("wrong", run="missing"))
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: ")
