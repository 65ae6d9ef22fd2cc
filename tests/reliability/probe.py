"""Kill commands, fill their disk, take away their right to write; say what they leave.

    python -m tests.reliability.probe --work build/reliability
    python -m tests.reliability.probe --work build/reliability --only camera --probes kill full

Disks are filled and write-protected in a mount namespace of their own, which needs root on Linux.
Prints a table for docs/reliability.md and exits with 1 if a promise was broken.
"""

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.reliability.commands import COMMANDS, Command, prepare

KILL_SHARES = (0.3, 0.5, 0.7, 0.8, 0.9, 0.97)
"""When a run is killed, as shares of the time that a whole one takes."""
DISK_SHARES = (0.1, 0.5, 0.9)
"""Sizes of the disk, as shares of what the result takes."""
TIMEOUT_S = 900


@dataclass(frozen=True)
class Finding:
    """What one try showed.

    Attributes:
        command: Name of the command.
        probe: What was done to it.
        broken: The promises that were broken; none if all is well.
    """

    command: str
    probe: str
    broken: tuple[str, ...]


def digest(path: Path) -> str:
    """Return a digest of the names and bytes of a file or a folder's files."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    whole = hashlib.sha256()
    for file in files:
        whole.update(str(file.relative_to(path)).encode())
        if file.is_file():
            whole.update(file.read_bytes())
    return whole.hexdigest()


def names_in(folder: Path) -> set[str]:
    """Return the names of what lies in a folder."""
    return {path.name for path in folder.iterdir()}


def survivors(session: int) -> list[int]:
    """Return the processes of a session that still live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def probe_kill(command: Command, work: Path) -> list[Finding]:
    """Kill a run that would replace an earlier result, at several moments, and run it again."""
    place = work / f"kill-{command.name}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    out = place / command.result
    start = time.monotonic()
    subprocess.run(command.line(work, out, False), check=True, capture_output=True)
    whole_s, earlier, names = time.monotonic() - start, digest(out), names_in(place)
    findings = []
    for number, share in [(signal.SIGKILL, s) for s in KILL_SHARES] + [(signal.SIGTERM, 0.6)]:
        broken = []
        process = subprocess.Popen(
            command.line(work, out, True),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(share * whole_s)
        process.send_signal(number)
        process.wait()
        time.sleep(3)
        if left := survivors(process.pid):
            broken.append(f"{len(left)} workers outlive it")
            for pid in left:
                os.kill(pid, signal.SIGKILL)
        if not out.exists():
            broken.append("the earlier result is gone")
        elif process.returncode == -number and digest(out) != earlier:
            broken.append("the result is half new")
        again = subprocess.run(command.line(work, out, True), capture_output=True, check=False)
        if again.returncode != 0:
            broken.append(f"the next run fails with {again.returncode}")
        if extra := sorted(names_in(place) - names - set(command.keeps)):
            broken.append(f"the next run leaves {', '.join(extra)}")
        earlier = digest(out) if out.exists() else ""
        name = signal.Signals(number).name
        findings.append(Finding(command.name, f"{name} at {share:.0%}", tuple(broken)))
    return findings


def probe_full(command: Command, work: Path) -> list[Finding]:
    """Run a command on disks that are too small for its result."""
    place = work / f"full-{command.name}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    out = place / command.result
    subprocess.run(command.line(work, out, False), check=True, capture_output=True)
    files = [path for path in place.rglob("*") if path.is_file()]
    size_kb = sum(path.stat().st_size for path in files) // 1024 + 4 * len(files)
    return [
        Finding(
            command.name,
            f"disk of {share:.0%}",
            _on_mount(command, work, f"-t tmpfs -o size={max(4, int(share * size_kb))}k tmpfs"),
        )
        for share in DISK_SHARES
    ]


def probe_read_only(command: Command, work: Path) -> list[Finding]:
    """Run a command where nothing can be written."""
    return [Finding(command.name, "read-only", _on_mount(command, work, "-t tmpfs -o ro tmpfs"))]


def _on_mount(command: Command, work: Path, mount: str) -> tuple[str, ...]:
    """Run a command whose `--out` lies on a mount of its own, and check how it ends."""
    place = work / f"mount-{command.name}"
    place.mkdir(exist_ok=True)
    words = command.line(work, place / command.result, False)
    script = f'mount {mount} "$0" && "$@"; code=$?; ls -A "$0" >&3; exit $code'
    read_end, write_end = os.pipe()
    # The shell's third descriptor carries the listing out of the mount.
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f"exec 3>&{write_end}; {script}", str(place), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
        pass_fds=(write_end,),
    )
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        left = set(pipe.read().split()) - set(command.keeps)
    broken = []
    if done.returncode != 2:
        broken.append(f"exit code {done.returncode}")
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    last = done.stderr.strip().splitlines()[-1:] or ["nothing"]
    if len(lines) != 1 or last != lines:
        broken.append(f"no one line: {last[0][:100]}")
    if left:
        broken.append(f"leaves {', '.join(sorted(left))}")
    return tuple(broken)


PROBES: dict[str, Callable[[Command, Path], list[Finding]]] = {
    "kill": probe_kill,
    "full": probe_full,
    "read-only": probe_read_only,
}


def table(findings: list[Finding]) -> str:
    """Return the findings as a Markdown table, one row for each command and probe."""
    rows = ["| command | probe | tries | broken promises |", "|---|---|--:|---|"]
    for command in dict.fromkeys(finding.command for finding in findings):
        of_command = [finding for finding in findings if finding.command == command]
        kinds = dict.fromkeys(finding.probe.split()[0] for finding in of_command)
        for kind in kinds:
            tries = [finding for finding in of_command if finding.probe.split()[0] == kind]
            broken = [f"{f.probe}: {'; '.join(f.broken)}" for f in tries if f.broken]
            rows.append(f"| {command} | {kind} | {len(tries)} | {'. '.join(broken) or 'none'} |")
    return "\n".join(rows)


def main() -> int:
    """Run the probes that the command line names."""
    names = [command.name for command in COMMANDS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for inputs and results")
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="commands")
    parser.add_argument("--probes", nargs="+", choices=list(PROBES), default=list(PROBES))
    options = parser.parse_args()
    work = options.work.resolve()
    prepare(work, options.only)
    findings = []
    for command in COMMANDS:
        for probe in options.probes if command.name in options.only else []:
            found = PROBES[probe](command, work)
            findings += found
            sys.stderr.write(table(found) + "\n")
    sys.stdout.write(table(findings) + "\n")
    return int(any(finding.broken for finding in findings))


if __name__ == "__main__":
    sys.exit(main())
