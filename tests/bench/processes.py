"""What a host's processes weigh: proportional set sizes, as the kernel counts them."""

from __future__ import annotations

from pathlib import Path

MIB = 1024 * 1024


def pss(pid: int) -> int:
    """A process's proportional set size in bytes; 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))


def command(pid: int) -> str:
    """Its command line; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def descendants(pid: int) -> list[int]:
    """Every process below one."""
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in tasks.read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def view_workers(pid: int) -> list[int]:
    """The processes below a host that hold query views."""
    return [child for child in descendants(pid) if "pod_server.query.worker" in command(child)]


def weight(pid: int) -> int:
    """Bytes of a process and of all below it."""
    return sum(pss(each) for each in (pid, *descendants(pid)))


def disk_use(folder: Path) -> tuple[int, int]:
    """Bytes on the disk (blocks, not lengths) and number of files below a folder."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return sum(file.stat().st_blocks * 512 for file in files), len(files)
