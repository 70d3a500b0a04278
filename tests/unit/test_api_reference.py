"""docs/api is what the .proto files say now, in a form that is read."""

import re

from deploy.reference.__main__ import FOLDER
from deploy.reference.comments import markdown, one_line
from deploy.reference.contract import contract
from deploy.reference.pages import pages

LINKS = {"Usage": "#usage", "ChatRequest": "#chatrequest"}


def test_the_reference_is_what_the_contract_makes() -> None:
    made = pages(contract())
    assert {file.name for file in FOLDER.iterdir()} == made.keys(), "make api-docs"
    for name, text in made.items():
        assert (FOLDER / name).read_text() == text, "make api-docs"


def test_every_rpc_field_and_value_is_in_it() -> None:
    made = pages(contract())
    for file in contract():
        calls, types = made[f"{file.stem}.md"], made[f"{file.stem}-messages.md"]
        assert re.findall(r"^### (\w+)$", calls, re.M) == [call.name for call in file.calls]
        sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", types, re.M | re.S))
        for type_ in file.types:
            rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", sections[type_.name], re.M)
            assert rows == [(member.name, str(member.number)) for member in type_.members]


def test_columns_of_a_comment_are_a_table_and_go_on_under_their_column() -> None:
    comment = (
        " Streams it.\n   NOT_FOUND  base_checkpoint_id\n   ABORTED    another run\n              is active\n"
    )
    assert markdown(comment) == (
        "Streams it.\n\n| status | when |\n| --- | --- |\n"
        "| `NOT_FOUND` | `base_checkpoint_id` |\n| `ABORTED` | another run is active |"
    )


def test_names_of_the_contract_are_links_and_words_are_not() -> None:
    assert one_line(" see ChatRequest.query; Usage is 1|2", LINKS) == (
        "see [`ChatRequest.query`](#chatrequest); Usage is 1\\|2"
    )
    assert one_line(" Usage.currency, `Usage`", LINKS) == "[`Usage.currency`](#usage), [`Usage`](#usage)"


def test_orders_to_tools_are_not_shown() -> None:
    assert markdown(" Runs it.\n buf:lint:ignore RPC_REQUEST_STANDARD_NAME\n") == "Runs it."
    assert one_line(" additive\n an id\n") == "an id"
