"""OpenAI-compatible endpoints for the backend's own tools: embeddings, and a model that answers in JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp

_MOST_BYTES = 16 << 20


class EndpointError(Exception):
    """It has not answered, or not as it should. The message has nothing of what was sent or received."""


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """`base_url` as https://api.example/v1; `api_key` may be empty; `seconds` for one call."""

    base_url: str
    model: str
    api_key: str = ""
    seconds: float = 20.0


class Endpoint:
    """One model of one endpoint."""

    def __init__(self, session: aiohttp.ClientSession, options: EndpointOptions) -> None:
        self._session = session
        self._options = options

    @property
    def model(self) -> str:
        return self._options.model

    async def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """A vector for each text, all of one length.

        Raises:
            EndpointError: There is no answer, or these are not the vectors.
        """
        answer = await self._post("embeddings", {"model": self.model, "input": list(texts)})
        try:
            rows = sorted(answer["data"], key=lambda row: row["index"])
            vectors = [[float(number) for number in row["embedding"]] for row in rows]
        except (KeyError, TypeError, ValueError) as error:
            raise EndpointError("the embeddings cannot be read") from error
        sizes = {len(vector) for vector in vectors}
        finite = all(math.isfinite(number) for vector in vectors for number in vector)
        if len(vectors) != len(texts) or len(sizes) > 1 or 0 in sizes or not finite:
            raise EndpointError("these are not the embeddings of these texts")
        return vectors

    async def json_text(self, system: str, question: str, schema: Mapping[str, Any]) -> str:
        """What the model answers, which should be JSON of this schema.

        Raises:
            EndpointError: There is no answer.
        """
        messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
        form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
        answer = await self._post(
            "chat/completions", {"model": self.model, "messages": messages, "response_format": form}
        )
        try:
            return str(answer["choices"][0]["message"]["content"])
        except (KeyError, IndexError, TypeError) as error:
            raise EndpointError("the answer cannot be read") from error

    async def _post(self, path: str, body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        options = self._options
        headers = {"Authorization": f"Bearer {options.api_key}"} if options.api_key else {}
        url = f"{options.base_url.rstrip('/')}/{path}"
        timeout = aiohttp.ClientTimeout(total=options.seconds)
        try:
            async with self._session.post(url, json=body, headers=headers, timeout=timeout) as response:
                if response.status != HTTPStatus.OK:
                    raise EndpointError(f"the endpoint has answered {response.status}")
                if (response.content_length or 0) > _MOST_BYTES:
                    raise EndpointError("the endpoint's answer is too large")
                return await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise EndpointError("the endpoint cannot be reached") from error
        except ValueError as error:
            raise EndpointError("the endpoint's answer is no JSON") from error
