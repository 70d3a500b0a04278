"""Making a LangChain model by its name."""

from importlib import import_module
from importlib.util import find_spec
from typing import cast

from langchain_core.language_models import BaseChatModel

_PACKAGES = {
    "anthropic_bedrock": "langchain-aws",
    "azure_ai": "langchain-azure-ai",
    "azure_openai": "langchain-openai",
    "bedrock": "langchain-aws",
    "bedrock_converse": "langchain-aws",
    "google_anthropic_vertex": "langchain-google-vertexai",
    "nvidia": "langchain-nvidia-ai-endpoints",
}
"""Packages that are not called after the provider."""


class MissingPackageError(Exception):
    """A model by name needs a package that is not installed. `package`: what to install."""

    def __init__(self, name: str, package: str) -> None:
        super().__init__(f"the model {name!r} needs the package {package}, which is not installed")
        self.package = package


def load_model(name: str, **options: object) -> BaseChatModel:
    """The model that `provider:model` names, as LangChain's `init_chat_model` makes it.

    It retries nothing by itself, unless `options` say so: a call that fails has to be seen.

    Raises:
        MissingPackageError: `langchain` or the provider's integration is not installed.
        ValueError: The name is not of that form.
    """
    provider, colon, model = name.partition(":")
    if not (provider and colon and model):
        raise ValueError("a LangChain model is named provider:model")
    if find_spec("langchain") is None:
        raise MissingPackageError(name, "langchain")
    make = import_module("langchain.chat_models").init_chat_model
    try:
        made = make(model, model_provider=provider, **{"max_retries": 0, **options})
    except ImportError as error:
        package = _PACKAGES.get(provider, f"langchain-{provider.replace('_', '-')}")
        raise MissingPackageError(name, package) from error
    return cast("BaseChatModel", made)
