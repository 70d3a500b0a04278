"""Keeps a child process with the local model alive."""

import asyncio
import logging
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from providers.local.process import ChildOptions, ModelProcess
from providers.local.weights import SMOLLM2_SHA256, LocalModelError, verified_weights
from state.errors import ProviderUnavailableError

logger = logging.getLogger(__name__)

LOG_NAME = "local-model.log"

_START_ATTEMPTS = 3
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_STEADY_SECONDS = 30.0


class LocalModelState(StrEnum):
    """Where the local model stands; `FAILED` never changes."""

    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"


class LocalModelServer:
    """Owns the child process and starts a new one whenever it dies.

    Entering the context returns at once; `ready` waits. A child that never once became ready is given up
    after 3 starts, one that did is restarted for ever, at most every 5 s.
    """

    def __init__(
        self,
        folder: Path,
        *,
        threads: int = 1,
        slots: int = 2,
        context_tokens: int = 4096,
        start_seconds: float = 30.0,
        stop_seconds: float = 5.0,
        weights: Path | None = None,
        sha256: str = SMOLLM2_SHA256,
    ) -> None:
        """Write llama.cpp's log to `folder`. `context_tokens` are per slot; the model knows 8192 at most.

        Without `weights`, the installed ones are used; `sha256` is checked either way.
        """
        self._log = folder / LOG_NAME
        self._options = ChildOptions(threads, slots, context_tokens)
        self._start_seconds = start_seconds
        self._stop_seconds = stop_seconds
        self._weights = weights
        self._sha256 = sha256
        self._state = LocalModelState.STARTING
        self._base_url: str | None = None
        self._pid: int | None = None
        self._settled = asyncio.Event()
        self._ended = asyncio.Event()
        self._cause: BaseException | None = None
        self._supervision: asyncio.Task[None] | None = None

    @property
    def state(self) -> LocalModelState:
        return self._state

    @property
    def pid(self) -> int | None:
        """The child's process id, also while it loads; None between two children."""
        return self._pid

    @property
    def base_url(self) -> str:
        """The address of the OpenAI-compatible API. Read it at every call: a restart changes the port.

        Raises:
            ProviderUnavailableError: No child is ready.
        """
        if self._base_url is None:
            raise ProviderUnavailableError(f"the local model is {self._state}")
        return self._base_url

    async def ready(self) -> None:
        """Return once a child serves.

        Raises:
            LocalModelError: None ever will.
        """
        await self._settled.wait()
        if self._state is LocalModelState.FAILED:
            known = isinstance(self._cause, LocalModelError)
            raise LocalModelError(
                str(self._cause) if known else "the local model was stopped"
            ) from self._cause

    async def died(self) -> None:
        """Return after a wanted stop; raise what ended the supervision otherwise.

        Raises:
            LocalModelError: The model is not installed, is damaged, or does not start.
        """
        await self._ended.wait()
        if self._cause is not None:
            raise self._cause

    async def __aenter__(self) -> Self:
        self._supervision = asyncio.create_task(self._supervise(), name="local-model-supervision")
        self._supervision.add_done_callback(self._close)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._supervision is not None:
            self._supervision.cancel()
            await asyncio.wait({self._supervision})

    def _close(self, supervision: asyncio.Task[None]) -> None:
        self._cause = None if supervision.cancelled() else supervision.exception()
        self._state = LocalModelState.FAILED
        self._ended.set()
        self._settled.set()

    async def _supervise(self) -> None:
        weights = await verified_weights(self._weights, self._sha256)
        await asyncio.to_thread(self._begin_log)
        pause, attempts = _FIRST_PAUSE_SECONDS, 0
        while True:
            lived = await self._run_child(weights)
            attempts += 1
            if self._state is LocalModelState.STARTING and attempts >= _START_ATTEMPTS:
                raise LocalModelError(f"the local model does not start: see {LOG_NAME}")
            if lived >= _STEADY_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _begin_log(self) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._log.write_bytes(b"")

    async def _run_child(self, weights: Path) -> float:
        """How long it served, in seconds; 0 when it never did."""
        try:
            process = await ModelProcess.spawn(weights, self._options, self._log)
        except OSError as error:
            logger.warning("local model not spawned", extra={"errno": error.errno})
            return 0.0
        self._pid = process.pid
        try:
            return await self._watch(process)
        finally:
            self._pid = None
            await process.stop(self._stop_seconds)

    async def _watch(self, process: ModelProcess) -> float:
        clock = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._start_seconds):
                port = await process.port()
        except TimeoutError:
            port = None
        if port is None:
            logger.warning("local model not ready", extra={"child_pid": process.pid})
            return 0.0
        born = clock.time()
        self._open(process, port)
        try:
            status = await process.ended()
            logger.warning("local model died", extra={"child_pid": process.pid, "exit_status": status})
        finally:
            self._base_url = None
            self._state = LocalModelState.RESTARTING
            self._settled.clear()
        return clock.time() - born

    def _open(self, process: ModelProcess, port: int) -> None:
        self._base_url = f"http://127.0.0.1:{port}/v1"
        self._state = LocalModelState.READY
        self._settled.set()
        logger.info("local model ready", extra={"child_pid": process.pid, "port": port})
