"""The web's parts beside all others, as the backend opens them."""

import grpc
from google.protobuf.json_format import MessageToDict

from backend.tools.all import ToolOptions, opened_tools
from backend.tools.crawl.addresses import allowed_of
from backend.tools.web import FetchingOptions, WebOptions
from llm_orchestrator_client.tool_service import BearerTokens, ToolServiceServer
from tests.backend.web.serving import Tools
from tests.fakes.web.server import WebServer
from tests.toolserver.backend import ANYWHERE, TOKEN


async def test_a_site_that_was_taken_in_is_found_among_the_documents_of_its_user(
    backend_dsn: str, site: WebServer
) -> None:
    site.says("/", "<title>Harbours</title><p>The quay was built of granite. <a href='/a'>more</a></p>")
    site.says("/a", "<title>Cranes</title><p>Cranes lift what ships bring, day and night.</p>")
    allowed = [allowed_of(f"{site.address}:{site.port}")]
    options = ToolOptions(dsn=backend_dsn, web=WebOptions(fetching=FetchingOptions(allowed=allowed)))
    async with opened_tools(options) as served:
        server = ToolServiceServer(
            served.handlers,
            ANYWHERE,
            authenticator=BearerTokens.of(TOKEN),
            described=served.described,
            calls=served.calls,
        )
        async with server, grpc.aio.insecure_channel(server.address) as channel:
            tools = Tools(channel)
            stored = MessageToDict((await tools.invoke("crawl_website_recursive", url=site.url)).data)
            found = await tools.ask("SearchDocuments", query="granite quay")
            strangers = await tools.ask("SearchDocuments", "bob", query="granite quay")
            off = await tools.refused("SearchWeb", query="granite")
    assert stored["pages_stored"] == 2
    assert [one.title for one in found.results] == ["Harbours"]
    assert len(strangers.results) == 0
    assert off.code == grpc.StatusCode.UNIMPLEMENTED
