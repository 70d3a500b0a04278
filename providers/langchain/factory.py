"""LangChain models from entries of the provider file."""

from providers.base import ChatModel
from providers.file.endpoints import Endpoint
from providers.file.reading import ProviderFileError
from providers.http.factory import timeouts_of
from providers.langchain.load import MissingPackageError, load_model
from providers.langchain.model import LangChainModel


def langchain_model(endpoint: Endpoint) -> ChatModel:
    """The model that LangChain makes of an entry.

    Raises:
        ProviderFileError: The integration's package is not installed; the message names it.
    """
    info, options = endpoint.info, {}
    if endpoint.api_key is not None:
        options["api_key"] = endpoint.api_key.get_secret_value()
    try:
        model = load_model(f"{endpoint.provider.langchain_provider}:{info.model}", **options)
    except MissingPackageError as error:
        raise ProviderFileError([f"[models.{endpoint.name}] needs the package {error.package}"]) from error
    return LangChainModel(
        model,
        provider=info.provider,
        name=info.model,
        context_tokens=info.context_tokens,
        timeouts=timeouts_of(endpoint),
        max_output_tokens=info.max_output_tokens,
        tools=info.tools,
        images=info.images,
        json_schema=info.json_schema,
    )
