"""All typed RPCs of ToolService as tools, each once."""

from tools.table import documents, feeds, org, web

TABLE = (*documents.ROWS, *feeds.ROWS, *org.ROWS, *web.ROWS)

NAMES = frozenset(row.name for row in TABLE)
