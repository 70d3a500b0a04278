"""One child process that serves the local model, from its spawn to its end."""

import asyncio
import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

_ROOT = Path(__file__).resolve().parents[2]

# The child needs no secret, and what it is not given it cannot leak.
_PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class ChildOptions:
    """How the child serves. `context_tokens` are per slot, prompt and answer together."""

    threads: int
    slots: int
    context_tokens: int


class ModelProcess:
    """A running child. Who spawned it must `stop` it, also when it died by itself."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout

    @classmethod
    async def spawn(cls, weights: Path, options: ChildOptions, log: Path) -> Self:
        """Start a child that writes its log to the end of `log`.

        Raises:
            OSError: The system has no room for one more process, or `log` cannot be written.
        """
        output = await asyncio.to_thread(_open_log, log)
        try:
            process = await asyncio.create_subprocess_exec(
                *_command(weights, options),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                cwd=_ROOT,
                env={name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                # Ctrl-C reaches a terminal's whole process group; the child must outlive the drain.
                start_new_session=True,
            )
        finally:
            output.close()
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def port(self) -> int | None:
        """The port of 127.0.0.1 on which the child serves; None when it ended before it was ready."""
        line = await self._stdout.readline()
        return int(json.loads(line)["port"]) if line.endswith(b"\n") else None

    async def ended(self) -> int:
        """Wait for the child's end. The exit status, negative for the signal that killed it."""
        # To its end: asyncio closes the transport of a process only after its pipes are.
        await self._stdout.read()
        return await self._process.wait()

    async def stop(self, grace_seconds: float) -> None:
        """Return once the child is gone: asked by end of file and SIGTERM, killed after `grace_seconds`."""
        try:
            self._stdin.close()
            with suppress(ProcessLookupError):
                self._process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_seconds):
                    await self.ended()
        finally:
            with suppress(ProcessLookupError):
                self._process.kill()
        await self.ended()


def _command(weights: Path, options: ChildOptions) -> tuple[str, ...]:
    return (
        *(sys.executable, "-m", "providers.local.child"),
        *("--model", str(weights.absolute())),
        *("--threads", str(options.threads)),
        *("--slots", str(options.slots)),
        *("--context", str(options.context_tokens)),
    )


def _open_log(log: Path) -> IO[bytes]:
    return log.open("ab")
