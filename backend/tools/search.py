"""SearchWeb by SearXNG's JSON API."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from backend.tools.outside import OutsideService, RefusedRequestError
from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service import Call, InvalidArgumentError, UnavailableError

_RESULTS = 10
_MOST_RESULTS = 50
_MOST_TITLE = 300
_MOST_SNIPPET = 2000


class WebSearch:
    """A part: searches with one SearXNG, whose settings must list `json` among its formats."""

    def __init__(self, service: OutsideService) -> None:
        self._service = service

    async def search_web(self, _call: Call, request: pb.WebSearchRequest) -> pb.WebSearchResponse:
        """Hits, best first. Raises: ToolServiceError."""
        return pb.WebSearchResponse(results=await self.found(request.query, request.max_results))

    async def found(self, query: str, most: int) -> Sequence[pb.WebSearchResult]:
        """The best hits; `most` 0 = as many as is usual. Raises: ToolServiceError."""
        if not query.strip():
            raise InvalidArgumentError("query is needed", field="query")
        try:
            answer = await self._service.get("/search", {"q": query, "format": "json"})
        except RefusedRequestError as error:
            raise UnavailableError("The web search does not take searches.") from error
        hits = answer.get("results")
        if not isinstance(hits, list):
            raise UnavailableError("The web search answers with something that cannot be read.")
        return _results([hit for hit in hits if _is_hit(hit)][: min(most or _RESULTS, _MOST_RESULTS)])


def _is_hit(hit: object) -> bool:
    return isinstance(hit, dict) and str(hit.get("url", "")).startswith(("http://", "https://"))


def _results(hits: Sequence[Mapping[str, Any]]) -> Sequence[pb.WebSearchResult]:
    # SearXNG's scores have no upper bound: the best one of an answer becomes 1.
    scores = [_score(hit) for hit in hits]
    best = max(scores, default=0.0) or 1.0
    results = [
        pb.WebSearchResult(
            title=str(hit.get("title") or "")[:_MOST_TITLE],
            url=str(hit["url"]),
            snippet=str(hit.get("content") or "")[:_MOST_SNIPPET],
            relevance_score=score / best,
        )
        for hit, score in zip(hits, scores, strict=True)
    ]
    return sorted(results, key=lambda result: -result.relevance_score)


def _score(hit: Mapping[str, Any]) -> float:
    score = hit.get("score")
    return max(float(score), 0.0) if isinstance(score, int | float) and math.isfinite(score) else 0.0
