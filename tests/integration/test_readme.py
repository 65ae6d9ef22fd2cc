"""What README and Makefile tell people to run is there to be run."""

import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    "README.md",
    "docs/architecture.md",
    "docs/conversion.md",
    "docs/datasets.md",
    "docs/exemplar-pack.md",
    "docs/method.md",
    "docs/reliability.md",
    "docs/rendering.md",
    "docs/results.md",
    "docs/shape-database.md",
    "docs/shape-loading.md",
    "docs/tables.md",
]
TARGETS = ["help", "install", "demo", "test", "weekly", "lint", "pipeline", "bench", "clean"]
SCRIPT = re.compile(r"(?<![\w/])(?:shapedb_export|train|convert|demo|tests/benchmarks)/\w+\.py\b")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")


def commands(document: str) -> list[str]:
    """Return the lines of a document, or of the Makefile, that call one of our scripts."""
    text = (ROOT / document).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if re.search(r"python\S* " + SCRIPT.pattern, line)]


@pytest.mark.parametrize("document", [*DOCUMENTS, "Makefile"])
def test_every_script_that_is_named_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    missing = [name for name in set(SCRIPT.findall(text)) if not (ROOT / name).is_file()]
    assert missing == []


@functools.cache
def options_of(script: str) -> frozenset[str]:
    """Return the options that a script's own help names."""
    done = subprocess.run(
        [sys.executable, str(ROOT / script), "--help"], capture_output=True, text=True, check=True
    )
    return frozenset(OPTION.findall(done.stdout))


@pytest.mark.parametrize("document", [*DOCUMENTS, "Makefile"])
def test_every_option_that_is_named_exists(document: str) -> None:
    for command in commands(document):
        script = SCRIPT.search(command)
        assert script is not None
        assert set(OPTION.findall(command)) <= options_of(script[0]), command


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", text)
    assert [link for link in links if not (ROOT / document).parent.joinpath(link).exists()] == []


def test_every_make_target_of_the_readme_is_known() -> None:
    named = set(re.findall(r"`make ([a-z]+)`|^make ([a-z]+)", _readme(), flags=re.MULTILINE))
    assert {first or second for first, second in named} <= set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_makefile_target_parses(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_modules_and_functions_of_the_method_exist() -> None:
    """`docs/method.md` maps equations to `module.function`; each must be importable."""
    text = (ROOT / "docs/method.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`((?:points2objects|p2o_\w+)(?:\.\w+)+)`", text))
    assert names
    missing = [name for name in sorted(names) if not _is_defined(name)]
    assert missing == []


def _is_defined(name: str) -> bool:
    """Tell whether a dotted name is a module of ours or something its source defines."""
    folders = ["runtime", "shapedb_export", "train", "convert", "demo"]
    parts = name.split(".")
    for split in range(len(parts), 0, -1):
        for folder in folders:
            module = ROOT.joinpath(folder, *parts[:split])
            source = next(
                (
                    path
                    for path in (module.with_suffix(".py"), module / "__init__.py")
                    if path.is_file()
                ),
                None,
            )
            if source is not None:
                text = source.read_text(encoding="utf-8")
                return all(
                    re.search(rf"^\s*(?:def|class) {part}\b|^{part}\b", text, flags=re.MULTILINE)
                    for part in parts[split:]
                )
    return False


def _readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")
