"""Corrections for single CAD files that came with a wrong front or in a wrong class.

`overrides.tsv` beside this module has one line per file: its key below the CAD root, `skip` or a
turn in degrees about +y that is added to the usual one, and the reason.
"""

from dataclasses import dataclass
from pathlib import Path

from points2objects.errors import InputError

OVERRIDES = Path(__file__).with_name("overrides.tsv")


@dataclass(frozen=True)
class Override:
    """A correction.

    Attributes:
        skip: Leave the file out.
        turn_deg: Extra turn about +y, degrees.
        reason: Why.
    """

    skip: bool = False
    turn_deg: float = 0.0
    reason: str = ""


def read_overrides(path: Path = OVERRIDES) -> dict[str, Override]:
    """Read the table, keyed by `CadFile.key`.

    Raises:
        InputError: A line does not have three columns or a known action.
    """
    table = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            key, action, reason = line.split("\t")
            turn = 0.0 if action == "skip" else float(action)
        except ValueError as error:
            raise InputError(
                f"{path.name}:{number}: expected file, 'skip' or degrees, and reason, "
                "separated by tabs"
            ) from error
        table[key] = Override(action == "skip", turn, reason)
    return table
