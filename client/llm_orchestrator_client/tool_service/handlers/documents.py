"""Documents, entities, weather, images, and what was said before."""

from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service.call import Call
from llm_orchestrator_client.tool_service.errors import UnimplementedError
from llm_orchestrator_client.tool_service.ownership import Owned


class DocumentHandlers:
    """Write those that the backend has. A row that is asked for by its id comes with its owner."""

    async def search_documents(self, call: Call, request: pb.SearchRequest) -> pb.SearchResponse:
        """Documents of `call.user`, best first."""
        raise UnimplementedError("SearchDocuments")

    async def get_document(
        self, call: Call, request: pb.DocumentRequest
    ) -> Owned[pb.DocumentResponse] | None:
        """A document without its text, whoever has it; None = there is none."""
        raise UnimplementedError("GetDocument")

    async def get_document_content(
        self, call: Call, request: pb.DocumentRequest
    ) -> Owned[pb.DocumentContentResponse] | None:
        """A document's text, whoever has it; None = there is none."""
        raise UnimplementedError("GetDocumentContent")

    async def search_entities(self, call: Call, request: pb.EntitySearchRequest) -> pb.EntitySearchResponse:
        """Entities of `call.user`."""
        raise UnimplementedError("SearchEntities")

    async def get_entity(self, call: Call, request: pb.EntityRequest) -> Owned[pb.EntityResponse] | None:
        """An entity and the documents that name it, whoever has it; None = there is none."""
        raise UnimplementedError("GetEntity")

    async def get_weather_data(self, call: Call, request: pb.WeatherRequest) -> pb.WeatherResponse:
        """Weather at a place."""
        raise UnimplementedError("GetWeatherData")

    async def generate_image(
        self, call: Call, request: pb.ImageGenerationRequest
    ) -> pb.ImageGenerationResponse:
        """Make images for `call.user`, who pays."""
        raise UnimplementedError("GenerateImage")

    async def expand_query(self, call: Call, request: pb.QueryExpansionRequest) -> pb.QueryExpansionResponse:
        """Other ways to put a query."""
        raise UnimplementedError("ExpandQuery")

    async def search_conversation_cache(
        self, call: Call, request: pb.CacheSearchRequest
    ) -> Owned[pb.CacheSearchResponse] | None:
        """Earlier messages of a conversation, with its owner; None = there is no such conversation."""
        raise UnimplementedError("SearchConversationCache")
