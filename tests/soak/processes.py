"""What a process and its children hold, from /proc. Postgres, which is a child of ours, is apart."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_STATES = {"01": "established", "06": "time_wait", "08": "close_wait", "0A": "listening"}
_LOCAL, _REMOTE, _STATE, _INODE = 1, 2, 3, 9


def tree(pid: int) -> tuple[list[int], list[int]]:
    """The process with its children and theirs, and apart from them those that are Postgres."""
    ours, postgres = [pid], []
    for child in _children(pid):
        inner, inner_postgres = tree(child)
        if _program(child) == "postgres":
            postgres += inner + inner_postgres
        else:
            ours += inner
            postgres += inner_postgres
    return ours, postgres


def cpu_seconds(pids: list[int]) -> float:
    """User and system time so far."""
    return sum(_cpu(pid) for pid in pids)


def held(pids: list[int]) -> dict[str, float]:
    """Bytes of memory (`rss`, resident; `uss`, nobody else's; `pss`, with a share of what is shared),
    descriptors and threads of all together."""
    total: Counter[str] = Counter()
    for pid in pids:
        with suppress(OSError):
            total.update(_memory(pid))
            total["descriptors"] += len(os.listdir(f"/proc/{pid}/fd"))
            total["threads"] += len(os.listdir(f"/proc/{pid}/task"))
    return dict(total)


def sockets(pids: list[int], ports: Mapping[str, int]) -> dict[str, float]:
    """TCP sockets by what they are for (a name for each port, else "other") and by state; zeros too."""
    mine = {inode for pid in pids for inode in _inodes(pid)}
    found: Counter[str] = Counter()
    names = {port: name for name, port in ports.items()}
    for local, remote, state, inode in _table():
        if inode in mine:
            found[_STATES.get(state, "other_state")] += 1
            if state != "0A":
                found[names.get(local) or names.get(remote) or "other"] += 1
    wanted = (*ports, "other", *_STATES.values(), "other_state")
    return {f"sockets_{name}": found[name] for name in wanted}


def _children(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            yield from map(int, task.read_text().split())


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return ""


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory(pid: int) -> dict[str, int]:
    kilobytes: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, value = line.partition(":")
        kilobytes[name] = int(value.split()[0])
    own = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    return {"rss": kilobytes["Rss"] << 10, "uss": own << 10, "pss": kilobytes["Pss"] << 10}


def _inodes(pid: int) -> Iterator[str]:
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        with suppress(OSError):
            target = os.readlink(f"{folder}/{name}")
            if target.startswith("socket:["):
                yield target[len("socket:[") : -1]


def _table() -> Iterator[tuple[int, int, str, str]]:
    """Local port, remote port, state and inode of every TCP socket of the machine."""
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            local, remote = (int(fields[i].rpartition(":")[2], 16) for i in (_LOCAL, _REMOTE))
            yield local, remote, fields[_STATE], fields[_INODE]
