"""What a request asks of a model beside text."""

from dataclasses import dataclass
from typing import Self

from providers.base import ModelInfo, ModelRequest
from providers.estimate import estimate_prompt


@dataclass(frozen=True, slots=True)
class Needs:
    """`prompt_tokens` is an estimate."""

    prompt_tokens: int = 0
    tools: bool = False
    images: bool = False
    json_schema: bool = False
    routing: bool = False

    @classmethod
    def of(cls, request: ModelRequest) -> Self:
        return cls(
            prompt_tokens=estimate_prompt(request),
            tools=bool(request.tools),
            images=any(message.images for message in request.messages),
            json_schema=request.json_schema is not None,
            routing=request.routing,
        )

    def met_by(self, info: ModelInfo) -> bool:
        """Whether the model can do all of it. Length apart: of that there is only an estimate."""
        return (
            (info.tools or not self.tools)
            and (info.images or not self.images)
            and (info.json_schema or not self.json_schema)
            and (info.routing or not self.routing)
        )

    def fit_into(self, info: ModelInfo) -> bool:
        return self.prompt_tokens < info.context_tokens
