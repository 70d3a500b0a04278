"""The processes a process has started, and whether any of them outlives it."""

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic

import psutil

_POLL_SECONDS = 0.02
_FOUND_SECONDS = 20.0


def children_of(pid: int) -> list[psutil.Process]:
    """Every process it has started, and those have started, by now."""
    return psutil.Process(pid).children(recursive=True)


async def child_of(pid: int, wanted: Callable[[psutil.Process], bool]) -> psutil.Process:
    """The first such child, once there is one."""
    async with asyncio.timeout(_FOUND_SECONDS):
        while True:
            for child in children_of(pid):
                if lives(child) and wanted(child):
                    return child
            await asyncio.sleep(_POLL_SECONDS)


async def survivors(processes: Sequence[psutil.Process], *, within: float = 1.0) -> list[psutil.Process]:
    """Those that still live when the time is over; returns at once when none does."""
    until = monotonic() + within
    while True:
        living = [process for process in processes if lives(process)]
        if not living or monotonic() >= until:
            return living
        await asyncio.sleep(_POLL_SECONDS)


def lives(process: psutil.Process) -> bool:
    """Whether it runs; a process that nobody has reaped yet does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_model(process: psutil.Process) -> bool:
    """Whether it is the local model's child."""
    try:
        return "providers.local.child" in process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False
