// Parts of a turn: calls of tools, sources, notes.
import { h } from "./dom.js";
import { link } from "./inline.js";
import { json, seconds } from "./words.js";

/** A tool's call, closed; `ended(result)` adds how it went. */
export function toolRow({ tool_name, arguments: given, read_only }) {
  const outcome = h("span", { class: "outcome" }, "runs");
  const told = h("pre", { tabindex: "0", "aria-label": "Result" });
  const element = h(
    "details",
    { class: "tool" },
    h("summary", {}, "Tool ", h("code", {}, tool_name), read_only ? " (only reads) " : " ", outcome),
    h("pre", { tabindex: "0", "aria-label": "Arguments" }, json(given)),
    told
  );
  const ended = ({ ok, summary, elapsed, error }) => {
    outcome.textContent = `${ok ? "done" : "failed"}${elapsed == null ? "" : ` in ${seconds(elapsed)}`}`;
    outcome.classList.add(ok ? "good" : "bad");
    told.textContent = error?.message || summary;
  };
  return { element, ended };
}

/** Add a source to the list, once; `known` has its element by number. */
export function sourceList(list, known, { id, uri, title, document_id }) {
  if (known.has(id)) return;
  const text = title || uri || document_id;
  const element = h("li", { tabindex: "-1", value: id }, uri ? link(uri, text) : text);
  known.set(id, element);
  list.append(element);
  list.hidden = false;
}

/** A note with a title. */
export const said = (kind, title, body) => h("div", { class: kind }, h("strong", {}, title), body ? h("p", {}, body) : null);
