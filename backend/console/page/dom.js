// Elements, made without ever reading text as markup.

/** h("p", {class: "hint"}, "text", child). Strings become text nodes; on... are listeners; null is left out. */
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** Show what items say under a parent, keeping the node of each key, with its focus and what is typed in it.
 * `make(item)` gives {element, update(item)}; `kept` is a Map that the caller holds. */
export function keyed(parent, items, kept, keyOf, make) {
  const wanted = new Set(items.map(keyOf));
  for (const [key, part] of kept) {
    if (!wanted.has(key)) {
      part.element.remove();
      kept.delete(key);
    }
  }
  items.forEach((item, at) => {
    const key = keyOf(item);
    if (!kept.has(key)) kept.set(key, make(item));
    const part = kept.get(key);
    part.update(item);
    if (parent.children[at] !== part.element) parent.insertBefore(part.element, parent.children[at] ?? null);
  });
}

/** Rows of a table from lists of texts; the first of each is its head. */
export function rows(body, table) {
  body.replaceChildren(
    ...table.map(([head, ...cells]) =>
      h("tr", {}, h("th", { scope: "row" }, head), ...cells.map((text) => h("td", {}, text)))
    )
  );
}
