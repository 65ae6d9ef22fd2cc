"""A model from elsewhere runs in a child first, whatever kind of program this one is."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from points2objects import Bundle, BundleError, ModelSpec, Reconstructor, write_bundle
from points2objects import trial as trial_module
from points2objects.interpreter import Interpreter
from points2objects.metadata import check_structure
from points2objects.trial import cache_folder, try_model

ModelWriter = Callable[..., bytes]
SPLIT = 49


@pytest.fixture(autouse=True)
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a cache of its own; returns the folder of the models that passed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "points2objects" / "tried"


@pytest.fixture
def crashing(spec: ModelSpec, write_model: ModelWriter) -> bytes:
    """A model whose parts are all there, but its pooling is a split that has no axis: SIGSEGV."""
    model = _opened(write_model(spec))
    model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = SPLIT
    made = _closed(model)
    check_structure(made)
    return made


def _opened(model: bytes) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(model)


def _closed(model: Any) -> bytes:
    from flatbuffers import Builder  # type: ignore[import-untyped,unused-ignore]

    builder = Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _bundle(folder: Path, spec: ModelSpec, model: bytes) -> Path:
    """Write a bundle whose digests are right; its pack lies beside this test's other one."""
    write_bundle(folder, spec, model, folder.parent / "pack.glb", "")
    return folder


LOAD = """
import sys
from points2objects import Bundle, BundleError
try:
    print(Bundle.load(sys.argv[1]).spec.name)
except BundleError as error:
    print(error)
"""


def test_a_sound_model_is_tried_once(
    spec: ModelSpec, write_model: ModelWriter, tried: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try_model(write_model(spec), spec)
    assert len(list(tried.iterdir())) == 1
    # Nothing could be started now, and nothing has to be.
    monkeypatch.setattr(sys, "executable", "")
    monkeypatch.delattr(os, "fork")
    try_model(write_model(spec), spec)
    other = replace(spec, name="other")
    with pytest.raises(BundleError, match=r"cannot be tried .* pass trusted=True"):
        try_model(write_model(other), other)


@pytest.mark.parametrize("frozen", [False, True])
def test_what_would_end_the_process_is_refused_in_one_line(
    spec: ModelSpec, crashing: bytes, tried: Path, monkeypatch: pytest.MonkeyPatch, frozen: bool
) -> None:
    """A frozen app is its own `sys.executable`, which must not be started as if it were Python.

    Its child is a copy of this process, where the network finds other things in place of weights.
    """
    words = r"ended the process that tried it \(SIG"
    if frozen:
        monkeypatch.setattr(sys, "frozen", True, raising=False)
        monkeypatch.setattr(sys, "executable", "/nowhere/app")
        words += "|takes more memory|fails on an image"
    with pytest.raises(BundleError, match=words) as refused:
        try_model(crashing, spec)
    assert "\n" not in str(refused.value)
    assert not tried.exists()


def test_a_bundle_from_elsewhere_is_tried_and_a_trusted_one_is_not(
    tmp_path: Path, bundle_folder: Path, spec: ModelSpec, crashing: bytes, tried: Path
) -> None:
    folder = _bundle(tmp_path / "crashing", spec, crashing)
    assert not tried.exists()  # What we write ourselves is trusted.
    with pytest.raises(BundleError, match="ended the process"):
        Bundle.load(folder)
    with pytest.raises(BundleError, match="ended the process"):
        Reconstructor.load(folder)
    assert Bundle.load(folder, trusted=True).model == crashing
    Reconstructor.load(bundle_folder)
    assert len(list(tried.iterdir())) == 1
    Reconstructor.load()
    assert len(list(tried.iterdir())) == 1  # The package's own needs no trial.


def test_a_model_of_another_spec_is_named_as_the_interpreter_would(
    spec: ModelSpec, write_model: ModelWriter
) -> None:
    model = write_model(spec, outputs=False)
    with pytest.raises(BundleError) as here:
        Interpreter(model, spec)
    with pytest.raises(BundleError) as tried_there:
        try_model(model, spec)
    assert str(tried_there.value) == str(here.value)


def test_a_model_that_takes_too_long_is_ended(
    spec: ModelSpec, write_model: ModelWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_module, "START_S", 0.02)
    monkeypatch.setattr(trial_module, "BASE_RUN_S", 0.0)
    monkeypatch.setattr(trial_module, "RUN_S_PER_MB", 0.0)
    monkeypatch.setattr(sys, "executable", "/nowhere/app")
    with pytest.raises(BundleError, match="did not finish one image in the time"):
        try_model(write_model(spec), spec)


def test_a_model_that_fills_the_memory_is_refused(
    spec: ModelSpec, write_model: ModelWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_module, "BASE_MEMORY_BYTES", 1 << 20)
    monkeypatch.setattr(trial_module, "MEMORY_FACTOR", 0)
    with pytest.raises(BundleError, match=r"model.tflite: "):
        try_model(write_model(spec), spec)


def test_a_script_without_a_guard_and_a_hostile_working_folder_do(
    tmp_path: Path, bundle_folder: Path, crashing: bytes, spec: ModelSpec
) -> None:
    """Nothing of the program runs again in the child, and no module of its folder is imported."""
    folder = _bundle(tmp_path / "crashing", spec, crashing)
    script = tmp_path / "app.py"
    script.write_text("print('begun')\n" + LOAD)
    for name in ("json.py", "points2objects.py"):
        (tmp_path / "work").mkdir(exist_ok=True)
        (tmp_path / "work" / name).write_text("raise SystemExit('not this one')")
    for bundle, words in ((bundle_folder, "tiny"), (folder, "ended the process")):
        said = subprocess.run(
            [sys.executable, script, bundle],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path / "work",
        ).stdout.splitlines()
        assert said[0] == "begun"
        assert len(said) == 2
        assert words in said[1]


SPAWNED = """
import multiprocessing, sys
from points2objects import Bundle

def load(path):
    return Bundle.load(path).spec.name

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print(*pool.map(load, [sys.argv[1]] * 4))
"""


def test_several_spawned_processes_try_the_same_model_at_once(
    tmp_path: Path, bundle_folder: Path, tried: Path
) -> None:
    script = tmp_path / "spawned.py"
    script.write_text(SPAWNED)
    done = subprocess.run(
        [sys.executable, script, bundle_folder], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["tiny"] * 4
    assert len(list(tried.iterdir())) == 1


def test_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path: Path, spec: ModelSpec, write_model: ModelWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    for _ in range(2):
        try_model(write_model(spec), spec)
    # A relative one does not count.
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder().is_relative_to(tmp_path)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("inputs", "an input is number 1000 of"),
        ("tensor buffer", "a tensor's buffer is number 1000 of"),
        ("shape", "a tensor of negative size"),
        ("operator code", "an operator's code is number 1000 of"),
        ("operator input", "an operator's input is number 1000 of"),
        ("operator order", "an operator reads tensor . before it is made"),
        ("operator output", "an operator writes tensor ., which is there already"),
        ("signature", "a signature's tensor is number 1000 of"),
    ],
)
def test_what_a_model_names_must_be_there(
    spec: ModelSpec, write_model: ModelWriter, field: str, words: str
) -> None:
    model = _opened(write_model(spec))
    graph = model.subgraphs[0]
    if field == "inputs":
        graph.inputs = [1000]
    elif field == "tensor buffer":
        graph.tensors[1].buffer = 1000
    elif field == "shape":
        graph.tensors[1].shape = [1, -64, 64, 3]
    elif field == "operator code":
        graph.operators[0].opcodeIndex = 1000
    elif field == "operator input":
        graph.operators[1].inputs = [1000, 1, 2]
    elif field == "operator order":
        graph.operators.reverse()
    elif field == "operator output":
        graph.operators[1].outputs = graph.operators[0].outputs
    else:
        model.signatureDefs[0].inputs[0].tensorIndex = 1000
    with pytest.raises(BundleError, match=words):
        check_structure(_closed(model))


def test_structure_is_checked_in_no_time_whatever_the_bytes(
    spec: ModelSpec, write_model: ModelWriter
) -> None:
    model = np.frombuffer(write_model(spec), np.uint8)
    rng = np.random.default_rng(0)
    for _ in range(300):
        changed = model.copy()
        changed[rng.integers(0, len(model), 8)] = rng.integers(0, 256, 8)
        with contextlib.suppress(BundleError):
            check_structure(changed.tobytes())
