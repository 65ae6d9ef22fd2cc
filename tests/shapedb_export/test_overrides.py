from pathlib import Path

import pytest

from p2o_shapedb.cad.axes import Axes
from p2o_shapedb.cad.overrides import FileOverride, SourceOverride, read_overrides
from points2objects.errors import InputError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def test_the_table_that_ships_is_readable_and_gives_reasons() -> None:
    files = read_overrides().files
    assert files
    assert all(override.reason for override in files.values())
    assert all(override.skip or override.turn_deg for override in files.values())


def test_the_default_classes_have_their_synsets() -> None:
    synsets = read_overrides().synsets
    assert synsets["03001627"].class_name == "chair"
    named = {synset.class_name for synset in synsets.values()}
    assert {"bottle", "bowl", "chair", "mug", "sofa", "table"} <= named
    assert all(0.1 < synset.diagonal_m < 6 for synset in synsets.values())


def test_files_and_sources_are_corrected(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        [source.scans]
        up = "z"
        unit_m = 0.001
        licence = "CC0"
        ship = true
        [file."a/b.glb"]
        skip = true
        reason = "broken"
        [file."a/c.glb"]
        turn_deg = -90
        class = "sofa"
        """,
    )
    found = read_overrides(path)
    assert found.source(Path("/somewhere/scans")) == SourceOverride(
        up="z", unit_m=0.001, licence="CC0", ship=True
    )
    assert found.source(Path("/somewhere/else")) == SourceOverride()
    assert found.file("a/b.glb") == FileOverride(skip=True, reason="broken")
    assert found.file("a/c.glb") == FileOverride(turn_deg=-90, class_name="sofa")
    assert found.file("a/d.glb") == FileOverride()


def test_a_files_own_entry_wins_over_patterns_and_a_later_file_over_an_earlier(
    tmp_path: Path,
) -> None:
    path = write(
        tmp_path,
        '[file."mug/*"]\nturn_deg = 90\n[file."mug/a?.obj"]\nturn_deg = 180\n'
        '[file."mug/a1.obj"]\nskip = true\n'
        '[file."bowl/pmndrs-market__bowl-soup.glb"]\nturn_deg = 5\n',
    )
    found = read_overrides(path)
    assert found.file("mug/x.obj").turn_deg == 90
    assert found.file("mug/a2.obj").turn_deg == 180
    assert found.file("mug/a1.obj").skip
    assert not found.file("bowl/pmndrs-market__bowl-soup.glb").skip


def test_a_corrected_up_axis_brings_its_usual_front() -> None:
    usual = Axes("y", "-x", 0.01)
    assert FileOverride(up="z").axes(usual) == Axes("z", "auto", 0.01)
    assert FileOverride(front="x").axes(usual) == Axes("y", "x", 0.01)
    assert FileOverride(unit_m=1.0).axes(usual) == Axes("y", "-x", 1.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "mine.toml: "),
        ("[files.a]\nskip = true", r"expected tables \[source\], \[file\] and \[synset\]"),
        ('[file."a/b"]\nskp = true', r"\[file\] a/b: expected any of .*skip"),
        ('[file."a/b"]\nskip = "yes"', "skip must be true or false, got 'yes'"),
        ('[file."a/b"]\nturn_deg = "left"', "turn_deg must be a number, got 'left'"),
        ('[file."a/b"]\nup = "q"', "--up must be one of"),
        ('[file."a/b"]\nup = "z"\nfront = "z"', "--front z lies along --up z"),
        ('[file."a/b"]\nunit_m = -1', "unit_m must be a positive"),
        ("[source.s]\ndiagonal_m = 0", "diagonal_m must be"),
        ('[synset]\n0123 = { class = "x" }', "diagonal_m"),
        ("[source]\ns = 3", r"\[source\] s: expected any of"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_overrides(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--overrides .*none\.toml"):
        read_overrides(tmp_path / "none.toml")
