"""What is known of each RPC of the contract beyond its descriptor."""

import re

from google.protobuf.descriptor import ServiceDescriptor

from llm_orchestrator_client.protos import tool_service_pb2 as pb

SERVICE: ServiceDescriptor = pb.DESCRIPTOR.services_by_name["ToolService"]
DESCRIBE, INVOKE = "DescribeTools", "InvokeTool"
TYPED = tuple(name for name in SERVICE.methods_by_name if name not in (DESCRIBE, INVOKE))

WRITING = frozenset(
    {
        "AddRSSFeed",
        "RefreshRSSFeed",
        "DeleteRSSFeed",
        "GenerateImage",
        "AddOrgInboxItem",
        "ToggleOrgInboxItem",
        "UpdateOrgInboxItem",
        "SetOrgInboxSchedule",
        "ApplyOrgInboxTags",
        "ArchiveOrgInboxDone",
        "AppendOrgInboxText",
    }
)
"""Their effect is done once for each x-tool-call-id."""

OWNED = frozenset({"GetDocument", "GetDocumentContent", "GetEntity", "SearchConversationCache"})
"""Their handlers answer with an owner."""

OF_A_FEED = frozenset({"GetRSSArticles", "RefreshRSSFeed", "DeleteRSSFeed"})
"""The feed's owner is looked up before they are called."""

MAY_BE_NEGATIVE = frozenset({"seed"})
"""All other whole numbers of requests are counts and indexes."""

_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def method_name(rpc: str) -> str:
    """`GetRSSArticles` as `get_rss_articles`: the name of the tool and of its handler."""
    return _WORDS.sub("_", rpc).lower()


TOOL_NAMES = frozenset(map(method_name, TYPED))
