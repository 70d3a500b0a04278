"""What a backend derives its own class from."""

from llm_orchestrator_client.tool_service.handlers.documents import DocumentHandlers
from llm_orchestrator_client.tool_service.handlers.feeds import FeedHandlers
from llm_orchestrator_client.tool_service.handlers.org import OrgHandlers
from llm_orchestrator_client.tool_service.handlers.web import WebHandlers


class ToolHandlers(DocumentHandlers, FeedHandlers, OrgHandlers, WebHandlers):
    """The 29 typed tools, each a method named as the tool. One that is not written answers UNIMPLEMENTED.

    A method is called with a user who is known and with a request that is parsed; several at the same time.
    It answers with a response, or raises a ToolServiceError, whose message the model or the caller is told.
    A response with `success` has it true, or says its `error`. It is cancelled when its caller has gone or
    the deadline has passed.
    """
