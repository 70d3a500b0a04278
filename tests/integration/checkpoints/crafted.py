"""Bytes that somebody has written into a checkpoint table, each made to leave a file when it is read."""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import ormsgpack

SINGLE, POSITIONAL, KEYWORDS, METHOD, PYDANTIC_1, PYDANTIC_2, DELTA, UNKNOWN = 0, 1, 2, 3, 4, 5, 7, 99
_DEEP = 3000


class Crafted(NamedTuple):
    """A row's `type` and `blob`."""

    name: str
    kind: str
    blob: bytes


class _Pickled:
    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self._canary,)


def crafted(canary: Path) -> Iterator[Crafted]:
    """Everything that reading may not obey; `canary` would appear."""
    yield Crafted("a pickle", "pickle", pickle.dumps(_Pickled(canary)))
    yield Crafted("a pickle by another name", "json", pickle.dumps(_Pickled(canary)))
    for name, kind, blob in _packed(canary):
        yield Crafted(name, "msgpack", blob)
        yield Crafted(f"{name}, inside", "msgpack", _ext(DELTA, kind_of(blob)))
        yield Crafted(f"{name}, in a message", "msgpack", _message(kind))
    for name, envelope in _envelopes(canary):
        yield Crafted(name, "json", json.dumps({"messages": [envelope]}).encode())
    yield Crafted("an unknown extension", "msgpack", _ext(UNKNOWN, 1))
    deep = ormsgpack.packb(1)
    for _ in range(_DEEP):
        deep = ormsgpack.packb(ormsgpack.Ext(DELTA, deep))
    yield Crafted("endless nesting", "msgpack", deep)
    yield Crafted("half a value", "msgpack", ormsgpack.packb([1, 2, 3])[:-1])
    yield Crafted("no type of ours", "yaml", b"!!python/object/apply:os.system [id]")


def _packed(canary: Path) -> Iterator[tuple[str, ormsgpack.Ext, bytes]]:
    path, command = str(canary), f"touch {canary}"
    calls = (
        ("os.system", POSITIONAL, ("os", "system", (command,))),
        ("os.system of one", SINGLE, ("os", "system", command)),
        ("subprocess", KEYWORDS, ("subprocess", "Popen", {"args": ["touch", path]})),
        ("open", POSITIONAL, ("builtins", "open", (path, "w"))),
        ("eval", SINGLE, ("builtins", "eval", f"open({path!r}, 'w')")),
        ("importlib", SINGLE, ("importlib", "import_module", "antigravity")),
        ("a method of pathlib", METHOD, ("pathlib", "Path", path, "touch")),
        (
            "a pydantic model",
            PYDANTIC_2,
            ("subprocess", "Popen", {"args": ["touch", path]}, "model_validate_json"),
        ),
        ("an old pydantic model", PYDANTIC_1, ("subprocess", "Popen", {"args": ["touch", path]})),
    )
    for name, code, call in calls:
        ext = ormsgpack.Ext(code, ormsgpack.packb(call))
        yield name, ext, ormsgpack.packb(ext)


def kind_of(blob: bytes) -> object:
    """The extension that a blob is, to be packed again."""
    found: list[ormsgpack.Ext] = []

    def hook(code: int, data: bytes) -> None:
        found.append(ormsgpack.Ext(code, data))

    ormsgpack.unpackb(blob, ext_hook=hook)
    return found[0]


def _ext(code: int, value: object) -> bytes:
    return ormsgpack.packb(ormsgpack.Ext(code, ormsgpack.packb(value)))


def _message(call: ormsgpack.Ext) -> bytes:
    message = ("langchain_core.messages.human", "HumanMessage", {"content": call})
    return _ext(KEYWORDS, message)


def _envelopes(canary: Path) -> Iterator[tuple[str, dict[str, object]]]:
    arguments = {"args": ["touch", str(canary)]}
    yield "lc 2", {"lc": 2, "type": "constructor", "id": ["subprocess", "Popen"], "kwargs": arguments}
    yield "lc 1", {"lc": 1, "type": "constructor", "id": ["subprocess", "Popen"], "kwargs": arguments}
    yield "a secret", {"lc": 1, "type": "secret", "id": ["PATH"]}
    prompt = {"template": "{{ ''.__class__ }}", "template_format": "jinja2", "input_variables": []}
    place = ["langchain", "prompts", "prompt", "PromptTemplate"]
    yield "a template", {"lc": 1, "type": "constructor", "id": place, "kwargs": prompt}
