"""Finding and checking the local model's weights, without loading them."""

import hashlib
from pathlib import Path

import pytest

from providers.local.weights import LocalModelError, installed_weights, verified_weights
from state.errors import ProviderUnavailableError, Reason

CONTENT = b"GGUF and more"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "weights.gguf"
    path.write_bytes(CONTENT)
    return path


async def test_whole_weights_are_accepted(weights: Path) -> None:
    assert await verified_weights(weights, hashlib.sha256(CONTENT).hexdigest()) == weights


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT + b"x", b"g" + CONTENT[1:]])
async def test_any_other_bytes_are_called_damaged(weights: Path, content: bytes) -> None:
    with pytest.raises(LocalModelError) as raised:
        await verified_weights(weights, hashlib.sha256(content).hexdigest())
    assert raised.value.message == "the local model's file is damaged: reinstall with `make model`"


async def test_a_folder_in_the_place_of_the_file_is_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(LocalModelError, match="is damaged: reinstall"):
        await verified_weights(tmp_path)


async def test_absent_weights_are_called_not_installed(tmp_path: Path) -> None:
    with pytest.raises(LocalModelError) as raised:
        await verified_weights(tmp_path / "absent.gguf")
    assert raised.value.message == (
        "the local model is not installed: run `make model`, or set OPENAI_API_KEY"
    )


@pytest.mark.parametrize(
    ("package", "runtime"),
    [
        ("no_such_package", "json"),
        ("json", "no_such_package"),
        # Installed, but without weights: as a package, and as a plain module, which has no folder.
        ("json", "json"),
        ("this", "json"),
    ],
)
def test_a_missing_half_is_called_not_installed(package: str, runtime: str) -> None:
    with pytest.raises(LocalModelError, match="is not installed: run"):
        installed_weights(package, runtime)


def test_waiting_does_not_install_a_model() -> None:
    error = LocalModelError("the local model is not installed")
    assert isinstance(error, ProviderUnavailableError)
    assert error.reason is Reason.PROVIDER_UNAVAILABLE
    assert error.retry_after is None
