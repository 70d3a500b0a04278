"""The saver of runs: it outlasts an outage of Postgres instead of ending their turns."""

from collections.abc import Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple

from state.postgres.checkpoints.saver import PostgresSaver
from state.postgres.database import Database
from state.postgres.patience import Patience
from state.sealing import PLAIN, Sealing


class PatientSaver(PostgresSaver):
    """A `PostgresSaver` whose every operation, none of which minds being repeated, waits for Postgres."""

    def __init__(self, database: Database, patience: Patience, *, sealing: Sealing = PLAIN) -> None:
        super().__init__(database, sealing=sealing)
        self._patience = patience

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        read = super().aget_tuple
        return await self._patience(lambda: read(config))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        put = super().aput
        return await self._patience(lambda: put(config, checkpoint, metadata, new_versions))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        put = super().aput_writes
        await self._patience(lambda: put(config, writes, task_id, task_path))
