"""What the licences of CAD collections are called, where their texts are, and what is owed.

Collections say it in their own words; an SPDX expression and an address are what a reader of a
file, or a machine, can follow.
"""

import re
from dataclasses import dataclass
from typing import Any

MODIFIED = "simplified, refitted and scaled to a unit cube"
"""What packing does to every model; licences such as CC-BY ask to say so."""

_CC = "https://creativecommons.org"
_URIS = {
    "Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0",
    "BSD-3-Clause": "https://opensource.org/license/bsd-3-clause",
    "CC-BY-3.0": f"{_CC}/licenses/by/3.0/",
    "CC-BY-3.0-US": f"{_CC}/licenses/by/3.0/us/",
    "CC-BY-4.0": f"{_CC}/licenses/by/4.0/",
    "CC0-1.0": f"{_CC}/publicdomain/zero/1.0/",
    "MIT": "https://opensource.org/license/mit",
    "MIT-0": "https://opensource.org/license/mit-0",
}
_OUR_OWN = "Apache-2.0"
_OUR_WORDS = {
    # What databases of earlier versions say of shapes that the project's own generators made.
    "same as points2objects": _OUR_OWN,
    # A generator's licence is not its output's: these were made with Infinigen, for this project.
    "BSD-3-Clause generator (output: own work)": _OUR_OWN,
}
_CHOSEN = {"GPL-2.0-or-later OR CC-BY-3.0": "CC-BY-3.0"}
"""Where a collection offers a choice: what this project takes."""

_AUTHORS = {
    "points2objects procedural": "points2objects contributors",
    "infinigen": "points2objects contributors, made with Infinigen",
}
"""Whom to credit for sources that name nobody."""


@dataclass(frozen=True)
class Licence:
    """A licence as a reader can follow it.

    Attributes:
        spdx: SPDX expression, or the collection's own words where they are not known.
        uri: Address of the text that applies, or "".
    """

    spdx: str
    uri: str

    def __str__(self) -> str:
        return f"{self.spdx} ({self.uri})" if self.uri else self.spdx


def known_licence(words: str) -> Licence:
    """Return the licence that a collection's words name."""
    # Remarks follow in brackets: 'MIT (robosuite wheel)'.
    spdx = _OUR_WORDS.get(words) or re.sub(r"\s*\(.*\)$", "", words).strip()
    return Licence(spdx, _URIS.get(_CHOSEN.get(spdx, spdx), ""))


def provenance(source: str, licence: str, attribution: str) -> dict[str, Any]:
    """Return the extras that say where a packed model comes from and what is owed for it."""
    known = known_licence(licence)
    return {
        "source": source,
        "licence": known.spdx,
        "licence_uri": known.uri,
        "attribution": attribution or _AUTHORS.get(source, ""),
        "modified": MODIFIED,
    }
