"""What a run is to do, whichever call began it."""

from dataclasses import dataclass, field

from agents.router import EditorHint, RouteWish
from agents.turn import Turn
from providers.pool.choice import PinnedChoice
from providers.pool.run_budget import RunCaps
from state.models import ConversationId, Owner


@dataclass(frozen=True, slots=True)
class Assignment:
    """One user turn or task, as accepted.

    An empty `conversation_id` begins a new conversation. `model` None leaves the choice to the agent.
    `base_checkpoint_id` is where to go on from, if not from the newest. `request` is the request as it came,
    to be kept with the run. `waits`: for a provider that has no room, even if it seemed to have some; else
    the run fails then. `window_seconds` None = the server's own. `caps` are wished for, with costs in
    `currency`; empty = the server's. `allowed_tools` narrows the agent's; empty = all of them. `grants` are
    classes of tools that nobody is to be asked about. `permission_seconds` None = the server's own.
    `request_id` is the caller's own, if it gave one. `locked_agent` keeps the conversation, unless it is to
    be released. `document` as in `RouteWish`.
    """

    owner: Owner
    conversation_id: ConversationId
    agent_type: str
    base_checkpoint_id: str
    model: PinnedChoice | None
    turn: Turn
    request: bytes
    waits: bool = True
    caps: RunCaps = field(default_factory=RunCaps)
    currency: str = ""
    window_seconds: float | None = None
    allowed_tools: tuple[str, ...] = ()
    grants: frozenset[str] = frozenset()
    permission_seconds: float | None = None
    request_id: str = ""
    locked_agent: str = ""
    document: EditorHint | None = None

    @property
    def wish(self) -> RouteWish:
        """What it says of who is to answer."""
        return RouteWish(self.agent_type, self.locked_agent, self.document)
