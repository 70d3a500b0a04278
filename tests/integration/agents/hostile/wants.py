"""What hostile models want, in ways that make sense and in others."""

from collections.abc import Collection
from random import Random
from typing import Any

from tests.integration.agents.hostile.oracle import MAY_USE, NEEDS_NOBODY
from tests.integration.agents.hostile.wishes import Wish, forged, honest, misnamed

MOST = 16
"""Wishes that one answer may have."""

FOREIGN = (
    "search_web",
    "crawl_web_content",
    "get_document_content",
    "search_conversation_cache",
    "calculator",
)


def sensible(tool: str, random: Random) -> dict[str, Any]:
    """Arguments that fit a tool, and no other call."""
    text, line = f"t{random.randrange(10**12)}", random.randrange(1, 10**6)
    known: dict[str, dict[str, Any]] = {
        "add_org_inbox_item": {"text": text, "kind": random.choice(["todo", "event", "contact"])},
        "toggle_org_inbox_item": {"line_index": line},
        "update_org_inbox_item": {"line_index": line, "new_text": text},
        "set_org_inbox_schedule": {"line_index": line, "scheduled": f"<2026-01-31 Sat> {text}"},
        "apply_org_inbox_tags": {"line_index": line, "tags": [text, "b"]},
        "archive_org_inbox_done": {},
        "append_org_inbox_text": {"text": text},
        "add_rss_feed": {"feed_url": f"https://example.com/{text}"},
        "get_weather_data": {"location": text},
        "generate_image": {"prompt": text},
        "crawl_web_content": {"url": f"https://example.com/{text}"},
        "get_document_content": {"document_id": text},
        "calculator": {"expression": f"{line} + 1"},
    }
    if tool in ("get_rss_articles", "refresh_rss_feed", "delete_rss_feed"):
        return {"feed_id": text}
    return known.get(tool, {"query": text} if "search" in tool else {})


def asks_for(tools: Collection[str], random: Random, number: int) -> list[Wish]:
    chosen = random.choices(sorted(tools), k=number)
    return [honest(tool, sensible(tool, random)) for tool in chosen]


def writes_of(agent: str) -> set[str]:
    return MAY_USE[agent] - NEEDS_NOBODY - {"archive_org_inbox_done"}


def nonsense(agent: str, random: Random) -> list[Wish]:
    """As many wishes as one answer may have."""
    wishes: list[Wish] = []
    for _ in range(MOST):
        tool = random.choice(sorted(MAY_USE[agent]))
        match random.randrange(8):
            case 0:
                tool = random.choice([*FOREIGN, *sorted(set.union(*MAY_USE.values()) - MAY_USE[agent])])
                wishes.append(Wish("foreign", tool, honest(tool, sensible(tool, random)).raw))
            case 1 | 2:
                wishes.append(misnamed(tool, sensible(tool, random), random))
            case _:
                wishes.append(forged(tool, sensible(tool, random), random))
    return wishes
