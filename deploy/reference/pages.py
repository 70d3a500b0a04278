"""The pages of docs/api: an index, and for each .proto one of its RPCs and one of its messages."""

import re
from collections.abc import Iterable, Iterator, Mapping

from google.rpc import code_pb2

from deploy.reference.comments import markdown, one_line
from deploy.reference.contract import Call, File, Member, Type
from orchestrator.codec.errors import CODES

_MADE = "<!-- Made by `make api-docs` of protos/*.proto. Change those. -->\n"
_GOOGLE = "https://protobuf.dev/reference/protobuf/google.protobuf/#"
_FIRST_SENTENCE = re.compile(r"(?:Core|Additive)\. [^.]+\.|[^.]+\.")


def pages(files: Iterable[File]) -> dict[str, str]:
    """The text of each page by its file name."""
    files = list(files)
    made = {"README.md": _index(files)}
    for file in files:
        made[_calls_page(file)] = _calls(file)
        made[_types_page(file)] = _types(file)
    return made


def _calls_page(file: File) -> str:
    return f"{file.stem}.md"


def _types_page(file: File) -> str:
    return f"{file.stem}-messages.md"


def _links(file: File, page: str) -> dict[str, str]:
    """Where each type and RPC of a file stands, as seen from a page."""
    places = {type_.name: _types_page(file) for type_ in file.types}
    places |= {call.name: _calls_page(file) for call in file.calls}
    return {name: f"{'' if on == page else on}#{name.lower()}" for name, on in places.items()}


def _index(files: list[File]) -> str:
    parts = [
        f"{_MADE}\n# API reference",
        "The contract, as `protos/` has it. Generate stubs of those files; Python has a "
        "[client](../../client/README.md) of its own. "
        "More is in [tasks](../tasks.md), [permissions](../permissions.md), "
        "[agents](../agents.md), [tools](../tools.md), [serving tools](../tool-service.md). What this "
        "release refuses, or takes and does not use: [README](../../README.md#what-does-not-work-yet).",
    ]
    for file in files:
        page = _calls_page(file)
        links = _links(file, "README.md")
        rows = [f"| [{call.name}]({links[call.name]}) | {_brief(call, links)} |" for call in file.calls]
        parts += [
            f"## {file.service}",
            f"`{file.package}.{file.service}`, of `protos/{file.stem}.proto`: [its RPCs]({page}), "
            f"[its messages]({_types_page(file)}).",
            "\n".join(["| RPC | |", "|---|---|", *rows]),
        ]
    return "\n\n".join([*parts, *_reasons()]) + "\n"


def _brief(call: Call, links: Mapping[str, str]) -> str:
    text = " ".join(one_line(call.comment, links).split())
    found = _FIRST_SENTENCE.match(text)
    return found[0] if found else text


def _reasons() -> list[str]:
    pairs = sorted((code_pb2.Code.Name(code), reason.value) for reason, code in CODES.items())
    rows = [f"| `{code}` | `{reason}` |" for code, reason in pairs]
    return [
        "## Reasons",
        "`ErrorInfo.reason` of `OrchestratorService`, and the status it comes with. Branch on the reason.",
        "\n".join(["| status | reason |", "|---|---|", *rows]),
    ]


def _calls(file: File) -> str:
    links = _links(file, _calls_page(file))
    parts = [
        f"{_MADE}\n# {file.service}",
        f"[All RPCs](README.md#{file.service.lower()}) · [messages]({_types_page(file)})",
        markdown(file.comment, links, headwords=True),
        "## RPCs",
        markdown(file.service_comment, links),
    ]
    for call in file.calls:
        answer = f"{'stream of ' if call.streams else ''}[`{call.response}`]({links[call.response]})"
        parts += [
            f"### {call.name}",
            f"[`{call.request}`]({links[call.request]}) → {answer}",
            markdown(call.comment, links),
        ]
    return "\n\n".join(parts) + "\n"


def _types(file: File) -> str:
    links = _links(file, _types_page(file))
    used = _used(file)
    parts = [
        f"{_MADE}\n# Messages of {file.service}",
        f"[All RPCs](README.md#{file.service.lower()}) · [in detail]({_calls_page(file)}), with what an "
        "empty value, a time or a list means. Beside a name stands its number.",
    ]
    for type_ in sorted(file.types, key=lambda type_: type_.name):
        parts += [f"## {type_.name}", *_described(type_, links, used.get(type_.name, []))]
    return "\n\n".join(parts) + "\n"


def _described(type_: Type, links: Mapping[str, str], used: list[str]) -> Iterator[str]:
    others = {name: place for name, place in links.items() if name != type_.name}
    if type_.comment:
        yield markdown(type_.comment, others)
    if used:
        yield "Used by " + ", ".join(f"[`{name}`]({links[name.partition('.')[0]]})" for name in used) + "."
    rows = [_row(member, others, is_enum=type_.is_enum) for member in type_.members]
    header = "| value | | |\n|---|---|---|" if type_.is_enum else "| field | | type | |\n|---|---|---|---|"
    yield "\n".join([header, *rows]) if rows else "No fields."


def _row(member: Member, links: Mapping[str, str], *, is_enum: bool) -> str:
    cells = [f"`{member.name}`", str(member.number)]
    if not is_enum:
        cells.append(_type_cell(member, links))
    return f"| {' | '.join([*cells, one_line(member.comment, links)])} |"


def _type_cell(member: Member, links: Mapping[str, str]) -> str:
    names = ", ".join(_linked(name, links) for name in member.type.split(", "))
    shaped = f"map of {names}" if member.shape == "map" else f"{member.shape} {names}".strip()
    return f"{shaped}, one of `{member.choice}`" if member.choice else shaped


def _linked(name: str, links: Mapping[str, str]) -> str:
    if name in links:
        return f"[{name}]({links[name]})"
    return name if name.islower() else f"[{name}]({_GOOGLE}{_anchor(name)})"


def _anchor(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


def _used(file: File) -> dict[str, list[str]]:
    """By type: the RPCs that take or give it, and the fields that hold it."""
    used: dict[str, list[str]] = {}
    for call in file.calls:
        for name in dict.fromkeys((call.request, call.response)):
            used.setdefault(name, []).append(call.name)
    for holder in file.types:
        for member in holder.members:
            for name in set(member.type.split(", ")):
                used.setdefault(name, []).append(f"{holder.name}.{member.name}")
    return used
