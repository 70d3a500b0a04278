// What waits for the user, wherever it was asked.
import { call } from "./api.js";
import { byId, h, keyed } from "./dom.js";
import { permissionCard } from "./permission.js";

/** The view's behaviour. */
export function openInbox() {
  const kept = new Map();
  const show = (permissions) => {
    keyed(byId("permissions"), permissions, kept, ({ permission_id }) => permission_id, item);
    byId("inbox-empty").hidden = permissions.length > 0;
    const count = byId("waiting");
    count.hidden = !permissions.length;
    count.textContent = permissions.length ? `${permissions.length} waiting` : "";
  };
  return {
    async refresh() {
      show((await call("GET", "/permissions")).permissions);
    },
    forget: () => show([]),
  };
}

function item(permission) {
  const card = permissionCard(permission);
  return { element: h("li", {}, card.element), update() {} };
}
