"""Flags from a file in flagd's format, for OpenFeature, looked at again while the process runs.

flagd's own evaluator decides, targeting included. Its file watcher is not used: it compares times of
modification, so a file that is moved back into place, with its older time, is never seen, and it logs a bad
file twice a second.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from openfeature.contrib.tools.flagd.core import FlagdCore
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import OpenFeatureError, TypeMismatchError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType
from openfeature.provider import AbstractProvider, Metadata

from llm_orchestrator_client.rollout.flags import Refusals

_MAX_BYTES = 1 << 20


class FlagFileProvider(AbstractProvider):
    """The last good content of a file, read again by an evaluation that comes `look_seconds` after the last
    look.

    A file that is missing, too large or no flagd document is refused as a whole, and what was read before it
    stays.
    """

    def __init__(
        self,
        path: Path,
        refusals: Refusals,
        *,
        look_seconds: float = 0.2,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._path = path
        self._refusals = refusals
        self._look_seconds = look_seconds
        self._clock = clock
        self._look_at = float("-inf")
        self._seen: bytes | None = None
        self._core = FlagdCore()
        self._flags: Mapping[str, Any] = {}

    def get_metadata(self) -> Metadata:
        return Metadata(name="flag file")

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        return self._current().resolve_boolean_value(flag_key, default_value, evaluation_context)

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[str]:
        return self._current().resolve_string_value(flag_key, default_value, evaluation_context)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[int]:
        return self._current().resolve_integer_value(flag_key, default_value, evaluation_context)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[float]:
        details = self._current().resolve_float_value(flag_key, default_value, evaluation_context)
        # The evaluator takes true for 1.0: a percentage of "true" would be one of 1.
        if details.variant and isinstance(self._flags[flag_key]["variants"].get(details.variant), bool):
            raise TypeMismatchError("a boolean is no number")
        return details

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> FlagResolutionDetails[Sequence[FlagValueType] | Mapping[str, FlagValueType]]:
        return self._current().resolve_object_value(flag_key, default_value, evaluation_context)

    def _current(self) -> FlagdCore:
        if self._clock() >= self._look_at:
            self._look_at = self._clock() + self._look_seconds
            self._look()
        return self._core

    def _look(self) -> None:
        try:
            with self._path.open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
        except OSError as error:
            self._refusals.refused("file", type(error).__name__)
            self._seen = None
            return
        # The whole content is compared: times and sizes do not tell every change.
        if content != self._seen:
            self._seen = content
            self._load(content)

    def _load(self, content: bytes) -> None:
        try:
            flags = document_of(content)["flags"]
            self._core.set_flags(content.decode())
        except (ValueError, OpenFeatureError) as error:
            self._refusals.refused("file", type(error).__name__)
            return
        self._flags = flags
        self._refusals.accepted("file")


def document_of(content: bytes) -> dict[str, Any]:
    """The file as JSON.

    Raises:
        ValueError: it is too large, or not of the form {"flags": {name: {"variants": {...}}}}
    """
    if len(content) > _MAX_BYTES:
        raise ValueError("larger than a mebibyte")
    try:
        document: Any = json.loads(content)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    flags = document.get("flags") if isinstance(document, dict) else None
    if not isinstance(flags, dict) or not all(_is_flag(flag) for flag in flags.values()):
        raise ValueError("no flags, or one without variants")
    return dict(document)


def _is_flag(flag: object) -> bool:
    return isinstance(flag, dict) and isinstance(flag.get("variants"), dict)


def write_flag(path: Path, name: str, value: bool | float | str) -> None:
    """Set what a flag is by default, and leave the rest of the file as it is. Readers see the old file or the
    new one.

    Raises:
        OSError: the file cannot be read or replaced
        ValueError: it is no flagd document
    """
    target = path.resolve()  # a link stays one
    document = document_of(target.read_bytes()) if target.exists() else {"flags": {}}
    flag = document["flags"].setdefault(name, {"state": "ENABLED", "variants": {}, "defaultVariant": "set"})
    flag["variants"][flag.get("defaultVariant") or "set"] = value
    flag.setdefault("defaultVariant", "set")
    replace_file(target, json.dumps(document, indent=2).encode() + b"\n")


def replace_file(target: Path, content: bytes) -> None:
    """Replace a file at once: readers see the old content or the new one.

    Raises:
        OSError: it cannot be written there
    """
    mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, target)
    except OSError:
        with suppress(OSError):
            os.unlink(name)
        raise
