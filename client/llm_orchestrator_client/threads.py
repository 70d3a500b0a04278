"""An event loop in a thread of its own, for callers that have none."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError as FutureCancelled
from typing import Any, TypeVar

Result = TypeVar("Result")


class LoopThread:
    """A loop that runs until `stop`. A process that ends does not wait for it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="orchestrator-client", daemon=True)
        self._thread.start()

    @property
    def stopped(self) -> bool:
        """Whether it takes nothing any more."""
        return self._stopped

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do the work there and wait for it; whoever is interrupted while waiting cancels it.

        Raises:
            RuntimeError: It was stopped, before or meanwhile, or this is the loop's own thread.
        """
        if self._stopped or threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("the client is closed" if self._stopped else "this would wait for itself")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except FutureCancelled as error:
            raise RuntimeError("the client was closed meanwhile") from error
        except BaseException:
            future.cancel()
            raise

    def stop(self, last: Coroutine[Any, Any, None]) -> None:
        """Cancel what is being done, do one last thing, end the thread. Again: wait for that."""
        with self._lock:
            if self._stopped:
                last.close()
                return
            self._stopped = True
            asyncio.run_coroutine_threadsafe(self._finish(last), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    async def _finish(self, last: Coroutine[Any, Any, None]) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        callers = [task for task in others if task.get_name() != "cancel-left-run"]
        for task in callers:
            task.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        await self._loop.shutdown_asyncgens()
        await last

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()
