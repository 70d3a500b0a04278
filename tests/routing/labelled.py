"""The labelled requests, and the names that they are labelled with."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NAMES = frozenset(
    [
        "research",
        "chat",
        "content_analysis",
        "story_analysis",
        "fiction_editing",
        "outline_editing",
        "rules_editing",
        "character_development",
        "proofreading",
        "sysml",
        "podcast_script",
        "substack",
        "report_formatting",
        "data_formatting",
        "fact_checking",
        "site_crawl",
        "website_crawler",
        "weather",
        "rss",
        "org_inbox",
        "org_project",
        "image_generation",
        "wargaming",
        "messaging",
        "entertainment",
        "comparison",
    ]
)


@dataclass(frozen=True, slots=True)
class Labelled:
    """One request. `kind` is plain, asked, traps or later."""

    text: str
    agent: str
    kind: str


def labelled() -> Iterator[Labelled]:
    """All of them."""
    groups = tomllib.loads((Path(__file__).parent / "requests.toml").read_text())
    for agent, kinds in groups.items():
        for kind, texts in kinds.items():
            for text in texts:
                yield Labelled(text, agent, kind)
