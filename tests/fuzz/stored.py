"""What lies in the database and in files: read as it was written or refused, and nothing is run."""

import importlib
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import ormsgpack
from langgraph.checkpoint.serde._msgpack import SAFE_MSGPACK_TYPES
from openfeature.exception import OpenFeatureError

from agents.loader import CatalogError, parse_agent
from llm_orchestrator_client.rollout.flag_file import FlagFileProvider, document_of
from llm_orchestrator_client.rollout.flags import Refusals
from state.errors import StateUnreadableError
from state.postgres.checkpoints.plain import PlainSerializer, readable
from tests.fuzz.picking import Picker

_RUNS = ("os.system", "os.exec", "os.posix_spawn", "os.remove", "subprocess.Popen", "pickle.find_class")
_OPENS = ("socket.connect", "ctypes.dlopen")
_KINDS = ("msgpack", "json", "bytes", "null", "pickle", "x")
_EXTENSIONS = (0, 1, 2, 3, 4, 5, 6, 7, 99)
_TYPES = (
    ("datetime", "timedelta"),
    ("decimal", "Decimal"),
    ("re", "compile"),
    ("uuid", "UUID"),
    ("collections", "deque"),
    ("zoneinfo", "ZoneInfo"),
    ("langchain_core.messages.human", "HumanMessage"),
    ("langgraph.types", "Send"),
    ("os", "system"),
    ("builtins", "eval"),
)


class Watched:
    """Notes what Python is made to do that no reading of bytes should; hooks cannot be taken away again."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        writes = event == "open" and isinstance(arguments[1], str) and set("wax+") & set(arguments[1])
        evaluates = event == "compile" and arguments[1] == "<string>"
        if event in _RUNS or event in _OPENS or writes or evaluates:
            self.seen.append(event)


_watched = Watched()
_serde = PlainSerializer()
for _module, _ in (*SAFE_MSGPACK_TYPES, ("numpy", "ndarray")):
    with suppress(ImportError):  # of another Python
        importlib.import_module(_module)  # which runs its code, as a first reading would


def checkpoints(data: bytes) -> None:
    """The bytes of a checkpoint's row: a value or StateUnreadableError, and nothing is executed or opened."""
    picker = Picker(data)
    kind = picker.one_of(_KINDS)
    blob = ormsgpack.packb(_packed(picker)) if picker.below(2) else picker.rest()
    _watched.seen.clear()
    _watched.on = True
    try:
        with readable():
            _serde.loads_typed((kind, blob))
    except StateUnreadableError:
        pass
    finally:
        _watched.on = False
    assert not _watched.seen, _watched.seen
    value = picker.json()
    again = _serde.loads_typed(_serde.dumps_typed(value))
    assert repr(again) == repr(value)


def _packed(picker: Picker, depth: int = 0) -> object:
    if picker.below(3) == 0 or depth > 4:
        return picker.json(depth)
    place = picker.one_of(_TYPES)
    inner = ormsgpack.packb(
        (*place, _packed(picker, depth + 1), picker.text()), option=ormsgpack.OPT_NON_STR_KEYS
    )
    return ormsgpack.Ext(picker.one_of(_EXTENSIONS), inner if picker.below(8) else picker.some())


def _check(so: bool) -> None:
    assert so


def agent_files(data: bytes) -> None:
    """A file of the catalogue: an agent, the same each time it is read, or what is wrong with the file."""
    picker = Picker(data)
    content = data
    if picker.byte() == 1:
        content = b"---\nname: a\ndescription: b\nshape: direct\n" + picker.rest() + b"\n---\nprompt"
    try:
        spec = parse_agent("a.md", content)
    except CatalogError as error:
        _check(bool(error.lines))
        _check(all(line.startswith("a.md: ") for line in error.lines))
        return
    assert parse_agent("a.md", content) == spec
    assert spec.name
    assert spec.prompt == spec.prompt.strip()


_folder = tempfile.TemporaryDirectory(prefix="fuzz-flags-")
_GOOD = b'{"flags": {"use": {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on"}}}'


def flag_files(data: bytes) -> None:
    """A flag file as it changes on disk: refused as a whole, with the last good one kept, or evaluated."""
    path = Path(_folder.name) / "flags.json"
    path.write_bytes(_GOOD)
    provider = FlagFileProvider(path, Refusals(lambda flag: None), look_seconds=0.0)
    assert provider.resolve_boolean_details("use", False).value is True
    path.write_bytes(data)
    try:
        document_of(data)
        fits = True
    except ValueError:
        fits = False
    with suppress(OpenFeatureError):
        assert isinstance(provider.resolve_boolean_details("use", False).value, bool)
    with suppress(OpenFeatureError):
        assert isinstance(provider.resolve_float_details("use", 0.0).value, float | int)
    if not fits:
        assert provider.resolve_boolean_details("use", False).value is True
