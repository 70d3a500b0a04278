"""The prompts of the catalogue: neither thin nor endless, and they name no tool that the agent has not."""

import re

import pytest

from agents.spec import AgentSpec
from tests.harness.catalogue import shipped
from tools.builtins.source import Builtins
from tools.table.typed import NAMES

SPECS = shipped().specs
READERS = [s for s in SPECS if s.offers_tools and "crawl_web_content" in s.tools]
_NAMED = re.compile(r"`([a-z]+(?:_[a-z]+)+)`")


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_prompt_is_neither_thin_nor_endless(spec: AgentSpec) -> None:
    assert 600 <= len(spec.prompt) <= 2600


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_a_prompt_names_no_tool_that_its_agent_has_not(spec: AgentSpec) -> None:
    known = {*NAMES, *Builtins().names}
    its = {entry.rpartition(":")[2] for entry in spec.tools}
    assert (set(_NAMED.findall(spec.prompt)) & known) <= its


@pytest.mark.parametrize("spec", READERS, ids=lambda spec: spec.name)
def test_who_reads_the_web_is_told_that_it_gives_no_orders(spec: AgentSpec) -> None:
    assert re.search(r"order\s+to\s+you|follow\s+what\s+they\s+say", spec.prompt)
