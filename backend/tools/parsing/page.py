"""A web page as text. Runs in the parsing process."""

from collections.abc import Iterator, Mapping
from urllib.parse import urljoin

import trafilatura
from lxml import html
from trafilatura.settings import Document

from backend.tools.parsing.text import clean

_MOST_TEXT = 256 << 10
_MOST_LINKS = 1000
_MOST_LABEL = 160
_MOST_URL = 2048
_MOST_SAID = 1000


def read_page(body: bytes, needs: Mapping[str, str]) -> Mapping[str, object]:
    """Title, readable text, links and what the page says of itself.

    `needs`: `url`, and `charset` if it is known. `links` are pairs of an absolute address and its
    label; `robots` is what the page asks robots.
    """
    text = _decoded(body, needs.get("charset", ""))
    found = trafilatura.bare_extraction(
        text,
        url=needs["url"],
        fast=True,
        include_comments=False,
        with_metadata=True,
        date_extraction_params={"extensive_search": False},
    )
    tree = trafilatura.load_html(text)
    said = _said(found) if isinstance(found, Document) else {}
    readable = said.pop("text", "") or trafilatura.html2txt(text)
    title = said.pop("title", "") or _title(tree)
    return {
        "title": clean(title[: 2 * _MOST_LABEL]),
        "text": clean(readable[:_MOST_TEXT]),
        "truncated": len(readable) > _MOST_TEXT,
        "metadata": said,
        "links": list(_links(tree, needs["url"])),
        "robots": _robots(tree),
    }


def _decoded(body: bytes, charset: str) -> str | bytes:
    if not charset:
        return body
    try:
        return body.decode(charset, "replace")
    except LookupError:
        return body


def _said(document: Document) -> dict[str, str]:
    names = ("title", "text", "author", "date", "sitename", "description")
    values = {name: getattr(document, name, None) for name in names}
    return {name: clean(str(value))[:_MOST_SAID] for name, value in values.items() if value}


def _title(tree: "html.HtmlElement | None") -> str:
    return " ".join((tree.findtext(".//title") or "").split()) if tree is not None else ""


def _links(tree: "html.HtmlElement | None", url: str) -> Iterator[tuple[str, str]]:
    if tree is None:
        return
    bases = tree.xpath("//base/@href")
    base = urljoin(url, str(bases[0])) if bases else url
    for number, link in enumerate(tree.iter("a")):
        if number >= _MOST_LINKS:
            return
        href = (link.get("href") or "").strip()
        if not href or len(href) > _MOST_URL or "nofollow" in (link.get("rel") or ""):
            continue
        try:
            address = urljoin(base, href).partition("#")[0]
        except ValueError:
            continue
        yield address, " ".join(link.text_content().split())[:_MOST_LABEL]


def _robots(tree: "html.HtmlElement | None") -> str:
    if tree is None:
        return ""
    return " ".join(
        meta.get("content") or "" for meta in tree.iter("meta") if meta.get("name", "").lower() == "robots"
    ).lower()
