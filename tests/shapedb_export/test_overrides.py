from pathlib import Path

import pytest

from p2o_shapedb.overrides import Override, read_overrides
from points2objects.errors import InputError


def test_the_table_that_ships_is_readable_and_gives_reasons() -> None:
    table = read_overrides()
    assert table
    assert all(override.reason for override in table.values())
    assert all(override.skip or override.turn_deg for override in table.values())


def test_lines_skip_or_turn(tmp_path: Path) -> None:
    path = tmp_path / "overrides.tsv"
    path.write_text("# file\taction\treason\n\na/b.glb\tskip\tbroken\na/c.glb\t-90\tfaces left\n")
    assert read_overrides(path) == {
        "a/b.glb": Override(True, 0.0, "broken"),
        "a/c.glb": Override(False, -90.0, "faces left"),
    }


@pytest.mark.parametrize("line", ["a/b.glb skip broken", "a/b.glb\tleft\twrong", "a/b.glb\t90"])
def test_other_lines_are_refused_by_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "overrides.tsv"
    path.write_text("# head\n" + line + "\n")
    with pytest.raises(InputError, match=r"overrides\.tsv:2: expected file"):
        read_overrides(path)
