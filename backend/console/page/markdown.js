// A small safe Markdown: it builds nodes and never reads text as HTML.
import { h } from "./dom.js";
import { inline } from "./inline.js";

const FENCE = /^(```|~~~)/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const TABLE_RULE = /^\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)+\|?$/;

/** A text that grows, shown under an element; only blocks that changed are made anew. */
export class Markdown {
  #element;
  #shown = [];

  constructor(element) {
    this.#element = element;
  }

  show(text, cited) {
    const sources = blocks(text);
    const known = this.#shown;
    this.#shown = sources.map((source, at) =>
      known[at]?.source === source && known[at].cited === cited ? known[at] : { source, cited, node: block(source, cited) }
    );
    this.#element.replaceChildren(...this.#shown.map((shown) => shown.node));
  }
}

/** The text cut at empty lines, but not inside a fence. */
export function blocks(text) {
  const found = [];
  let lines = [];
  let fence = "";
  for (const line of text.split("\n")) {
    const mark = FENCE.exec(line)?.[1] ?? "";
    if (!fence && (mark || !line.trim()) && lines.length) {
      found.push(lines.join("\n"));
      lines = [];
    }
    if (fence || line.trim()) lines.push(line);
    if (fence && mark === fence) {
      found.push(lines.join("\n"));
      lines = [];
      fence = "";
    } else if (!fence) {
      fence = mark;
    }
  }
  return lines.length ? [...found, lines.join("\n")] : found;
}

function block(source, cited) {
  const lines = source.split("\n");
  if (FENCE.test(lines[0])) return code(lines);
  const heading = /^(#{1,6})\s+(.*)$/.exec(lines[0]);
  if (heading) {
    const title = h(`h${Math.min(6, heading[1].length + 2)}`, {}, ...inline(heading[2], cited));
    return lines.length > 1 ? h("div", {}, title, block(lines.slice(1).join("\n"), cited)) : title;
  }
  if (/^(\*{3,}|-{3,}|_{3,})$/.test(source.trim())) return h("hr");
  if (lines.every((line) => line.startsWith(">"))) {
    return h("blockquote", {}, block(lines.map((line) => line.replace(/^> ?/, "")).join("\n"), cited));
  }
  if (lines.length > 1 && TABLE_RULE.test(lines[1])) return table(lines, cited);
  const from = lines.findIndex((line) => ITEM.test(line));
  if (from === 0) return list(lines, cited);
  if (from > 0) {
    return h("div", {}, block(lines.slice(0, from).join("\n"), cited), list(lines.slice(from), cited));
  }
  return h("p", {}, ...inline(source, cited));
}

function code(lines) {
  const closed = lines.length > 1 && FENCE.test(lines.at(-1));
  const text = lines.slice(1, closed ? -1 : undefined).join("\n");
  return h("pre", { tabindex: "0", role: "region", "aria-label": "Code" }, h("code", {}, text));
}

/** Items deeper than the first belong to the one before them; lines that are none go on with it. */
function list(lines, cited) {
  const [, indent, mark] = ITEM.exec(lines[0]);
  const items = [];
  for (const line of lines) {
    const item = ITEM.exec(line);
    if (item && item[1].length <= indent.length) items.push({ text: item[3], inner: [] });
    else if (item || items.at(-1).inner.length) items.at(-1).inner.push(line.replace(/^ {0,4}/, ""));
    else items.at(-1).text += `\n${line.trim()}`;
  }
  const made = items.map(({ text, inner }) =>
    h("li", {}, ...inline(text, cited), inner.length ? block(inner.join("\n"), cited) : null)
  );
  return /\d/.test(mark) ? h("ol", { start: parseInt(mark, 10) }, ...made) : h("ul", {}, ...made);
}

function table(lines, cited) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|");
  const row = (line, name) => h("tr", {}, ...cells(line).map((cell) => h(name, {}, ...inline(cell.trim(), cited))));
  return h("table", {}, h("thead", {}, row(lines[0], "th")), h("tbody", {}, ...lines.slice(2).map((line) => row(line, "td"))));
}
