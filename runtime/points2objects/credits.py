"""Say who made what a file holds, under which licence, and that it was changed."""

from collections.abc import Iterable, Mapping
from typing import Any

PROVENANCE = ("model", "source", "licence", "licence_uri", "attribution", "modified")
"""Extras of a mesh that travel with it into every scene."""


def credit(extras: Mapping[str, Any]) -> str:
    """Return author, licence, its address and what was changed, on one line; "" if none is known.

    Args:
        extras: Of a mesh: `PROVENANCE`, each of which may be missing.
    """
    owner = _owner(extras)
    return owner + _terms(extras) if owner else ""


def copyright_line(meshes: Iterable[Mapping[str, Any]]) -> str:
    """Return the credits of several meshes, each once, for `asset.copyright` of glTF.

    Authors under the same terms share them, as most do.

    Args:
        meshes: Extras of each.
    """
    owners: dict[str, dict[str, None]] = {}
    for extras in meshes:
        if _owner(extras):
            owners.setdefault(_terms(extras), {})[_owner(extras)] = None
    return "; ".join(", ".join(names) + terms for terms, names in owners.items())


def _owner(extras: Mapping[str, Any]) -> str:
    return str(extras.get("attribution") or extras.get("source") or "")


def _terms(extras: Mapping[str, Any]) -> str:
    terms = [str(extras[key]) for key in ("licence", "licence_uri") if extras.get(key)]
    if extras.get("modified"):
        terms.append(f"modified: {extras['modified']}")
    return f" ({', '.join(terms)})" if terms else ""
