// Spans of Markdown inside a line, as nodes. What is no Markdown, HTML included, stays the text it is.
import { h } from "./dom.js";

const SPANS = [
  [/`([^`\n]+)`/, (m) => h("code", {}, m[1])],
  [/!?\[([^\]\n]*)\]\(([^\s()]+(?:\([^\s()]*\)[^\s()]*)*)(?: "[^"\n]*")?\)/, (m) => link(m[2], m[1] || m[2])],
  [/\*\*(?=\S)((?:[^*]|\*(?!\*))+?)\*\*/, (m, cited) => h("strong", {}, ...inline(m[1], cited))],
  [/\*(?=\S)([^*\n]+?)\*/, (m, cited) => h("em", {}, ...inline(m[1], cited))],
  [/\[(\d{1,3}(?:, \d{1,3})*)\]/, (m, cited) => citations(m, cited)],
  [/https?:\/\/[^\s<>"'`\])}]+[^\s<>"'`\])}.,;:!?]/, (m) => link(m[0], m[0])],
];

/** The nodes of a text. `cited(number)` is the element that a number in brackets points to, or null. */
export function inline(text, cited = () => null) {
  const nodes = [];
  while (text) {
    const found = first(text);
    if (!found) break;
    const [match, make] = found;
    if (match.index) nodes.push(text.slice(0, match.index));
    nodes.push(make(match, cited));
    text = text.slice(match.index + match[0].length);
  }
  return text ? [...nodes, text] : nodes;
}

/** A link where the address is one of the web; otherwise its text alone. */
export function link(address, text) {
  const url = URL.parse(address);
  if (!url || !["http:", "https:"].includes(url.protocol)) return document.createTextNode(text);
  return h("a", { href: url.href, rel: "noopener noreferrer", target: "_blank" }, text);
}

function first(text) {
  let best = null;
  for (const [pattern, make] of SPANS) {
    const match = pattern.exec(text);
    if (match && (!best || match.index < best[0].index)) best = [match, make];
  }
  return best;
}

function citations(match, cited) {
  const targets = match[1].split(", ").map((number) => [number, cited(number)]);
  if (targets.some(([, target]) => !target)) return document.createTextNode(match[0]);
  const marks = targets.map(([number, target]) =>
    h("button", { type: "button", class: "mark", "aria-label": `Source ${number}`, onclick: () => target.focus() }, number)
  );
  return h("span", { class: "marks" }, ...marks);
}
