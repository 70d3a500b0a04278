"""Moves a backend's chats to the orchestrator by percentage, and back. `open_rollout` puts it together."""

from llm_orchestrator_client.rollout.assembly import Rollout, RolloutSettings, open_rollout
from llm_orchestrator_client.rollout.budget import BudgetSettings
from llm_orchestrator_client.rollout.controller import ControllerSettings, RolloutController, Step
from llm_orchestrator_client.rollout.conversations import (
    Conversations,
    ConversationStoreError,
    KeyValueConversations,
    MemoryConversations,
)
from llm_orchestrator_client.rollout.flags import Flag, Refusals, RolloutFlags
from llm_orchestrator_client.rollout.halt import FileHalt, Halt, MemoryHalt
from llm_orchestrator_client.rollout.loading import FlagSourceError, flag_source
from llm_orchestrator_client.rollout.metrics import RolloutMetrics
from llm_orchestrator_client.rollout.orchestrator import ConnectedOrchestrator
from llm_orchestrator_client.rollout.router import Local, RolloutRouter, RouterSettings
from llm_orchestrator_client.rollout.shadow import ShadowReport, ShadowSettings
from llm_orchestrator_client.rollout.targets import FlagFileTarget, HeldPercentage

__all__ = [
    "BudgetSettings",
    "ConnectedOrchestrator",
    "ControllerSettings",
    "ConversationStoreError",
    "Conversations",
    "FileHalt",
    "Flag",
    "FlagFileTarget",
    "FlagSourceError",
    "Halt",
    "HeldPercentage",
    "KeyValueConversations",
    "Local",
    "MemoryConversations",
    "MemoryHalt",
    "Refusals",
    "Rollout",
    "RolloutController",
    "RolloutFlags",
    "RolloutMetrics",
    "RolloutRouter",
    "RolloutSettings",
    "RouterSettings",
    "ShadowReport",
    "ShadowSettings",
    "Step",
    "flag_source",
    "open_rollout",
]
