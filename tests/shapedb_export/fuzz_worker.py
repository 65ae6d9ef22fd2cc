"""Load every CAD file of a folder under limits, and print one JSON line per file.

Run by test_fuzz_cad.py and test_load_limits.py in a process of its own: it may be killed, and what
it opens is watched.
"""

import json
import resource
import sys
import time
import traceback
from pathlib import Path

from p2o_shapedb.cad.meshes import EXTENSIONS, load_mesh
from points2objects.errors import InputError

FOREIGN = ("secret.bin", "secret/", "passwd", "hostname")


def main(folder: Path, memory_bytes: int, cpu_s: int) -> None:
    opened: list[str] = []
    strange: list[str] = []

    def watch(event: str, args: tuple[object, ...]) -> None:
        if event == "open" and any(word in str(args[0]) for word in FOREIGN):
            opened.append(str(args[0]))
        if event.startswith(("socket.", "subprocess.", "os.system", "urllib.")):
            strange.append(event)

    warm_up(folder)
    sys.addaudithook(watch)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    for path in sorted(folder.glob("*/*")):
        if path.suffix not in EXTENSIONS:
            continue
        opened.clear()
        strange.clear()
        start = time.process_time()
        # A file that spins is ended by the system, and the parent sees which one is missing.
        resource.setrlimit(resource.RLIMIT_CPU, (int(start) + cpu_s, resource.RLIM_INFINITY))
        report({"start": str(path)})
        outcome, line = "loaded", ""
        try:
            mesh = load_mesh(path)
            line = f"{len(mesh.faces)} triangles; {'; '.join(mesh.repairs)}"
        except InputError as error:
            outcome, line = "refused", str(error)
        except BaseException:
            outcome, line = "escaped", traceback.format_exc()
        found = {
            "file": str(path),
            "outcome": outcome,
            "line": line,
            "opened": opened + strange,
            "cpu_s": time.process_time() - start,
            "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        report(found)


def report(record: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


def warm_up(folder: Path) -> None:
    """Load the unharmed files, so that what libraries import is not counted."""
    for path in sorted((folder.parent / "unharmed").glob("*")):
        if path.suffix in EXTENSIONS:
            load_mesh(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
