"""Making a LangChain model by its name."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from providers.langchain.load import MissingPackageError, load_model

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["gpt-5", ":gpt-5", "openai:", ""])
def test_a_name_without_a_provider_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="provider:model"):
        load_model(name)


def test_a_missing_langchain_is_named() -> None:
    with pytest.raises(MissingPackageError, match="needs the package langchain,") as refusal:
        load_model("openai:gpt-5")
    assert refusal.value.package == "langchain"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("google_genai:gemini", "langchain-google-genai"),
        ("bedrock:claude", "langchain-aws"),
        ("played:small", "max_retries=0"),
    ],
)
async def test_a_missing_integration_is_named_and_a_present_one_used(
    tmp_path: Path, name: str, said: str
) -> None:
    """Against a stand-in for the package `langchain`, in a process that finds it."""
    (tmp_path / "langchain").mkdir()
    (tmp_path / "langchain" / "__init__.py").touch()
    (tmp_path / "langchain" / "chat_models.py").write_text(
        "def init_chat_model(model, *, model_provider, **options):\n"
        "    if model_provider != 'played':\n"
        "        raise ImportError('no integration')\n"
        "    return ' '.join(f'{name}={value}' for name, value in options.items())\n"
    )
    program = (
        "import sys\n"
        "from providers.langchain.load import MissingPackageError, load_model\n"
        "try:\n"
        "    print(load_model(sys.argv[1]))\n"
        "except MissingPackageError as error:\n"
        "    print(error.package)\n"
    )
    path = os.pathsep.join((str(ROOT), str(tmp_path)))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        name,
        env={**os.environ, "PYTHONPATH": path},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert output.decode().strip() == said
