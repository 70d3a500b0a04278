"""A search over all org files of a user."""

import logging

from backend.tools.org.folder import Folder
from backend.tools.org.searching import Hit, Query, hits
from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service import FailedPreconditionError

_MOST_CHARACTERS = 8 * 1024 * 1024
"""Of all files together, those changed last first: more cannot be read within the tool's time."""

logger = logging.getLogger(__name__)


def search(folder: Folder, query: Query, limit: int) -> list[pb.OrgSearchResult]:
    """The best hits. A file that cannot be read is left out, and the log says how many."""
    found: list[Hit] = []
    left = _MOST_CHARACTERS
    left_out = 0
    for file in sorted(folder.files(), key=lambda file: -file.changed):
        try:
            text = folder.read(file.name) or ""
        except FailedPreconditionError:
            left_out += 1
            continue
        if len(text) > left:
            left_out += 1
            continue
        left -= len(text)
        found += hits(file.name, text, query)
    if left_out:
        logger.warning("org files left out of a search", extra={"files": left_out})
    best = sorted(found, key=lambda hit: (hit.rank, hit.result.document_name, hit.result.line_number))
    return [hit.result for hit in best[:limit]]
