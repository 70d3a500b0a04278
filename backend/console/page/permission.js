// A permission: what would run, and a person's answer.
import { at, call } from "./api.js";
import { h } from "./dom.js";
import { json, words } from "./words.js";

let numbered = 0;

/** The card: {element, decided(text), update()}. What is approved is what is shown, by its digest. */
export function permissionCard(permission) {
  const label = `permission-${++numbered}`;
  const outcome = h("p", { role: "status", tabindex: "-1", class: "outcome" });
  const acting = actions(permission, outcome);
  const element = h(
    "section",
    { class: "permission", "aria-labelledby": label },
    h("h2", { id: label }, "May ", h("code", {}, permission.tool_name), " run?"),
    h("p", { class: "hint" }, facts(permission)),
    permission.query ? h("p", {}, permission.query) : null,
    permission.reasoning ? h("p", {}, permission.reasoning) : null,
    h("pre", { tabindex: "0", "aria-label": "Arguments" }, json(permission.arguments)),
    acting,
    outcome
  );
  const decided = (text) => {
    if (!acting.isConnected) return;
    const focused = acting.contains(document.activeElement);
    acting.remove();
    outcome.textContent = text[0].toUpperCase() + text.slice(1);
    if (focused) outcome.focus();
  };
  acting.addEventListener("decided", (event) => decided(event.detail));
  return { element, decided, update() {} };
}

function facts({ operation_type, safety_level, reversible, expire_time }) {
  const until = expire_time ? `until ${new Date(expire_time).toLocaleString()}` : "";
  const texts = [words(operation_type), words(safety_level), reversible ? "can be undone" : "cannot be undone", until];
  return texts.filter(Boolean).join(" · ");
}

function actions(permission, outcome) {
  const scope = h("select", {}, ...scopes(permission).map((name) => h("option", { value: name }, words(name))));
  const edited = h("textarea", { rows: 6, spellcheck: "false" }, json(permission.arguments));
  const decide = (decision, more = {}) => send(acting, outcome, permission, { decision, scope: scope.value, ...more });
  const form = h(
    "form",
    { hidden: true, onsubmit: (event) => (event.preventDefault(), parsed(edited, outcome, decide)) },
    h("label", {}, "Arguments as JSON ", edited),
    h("button", { type: "submit" }, "Approve these")
  );
  const edit = h("button", { type: "button", "aria-expanded": "false" }, "Edit");
  edit.addEventListener("click", () => {
    form.hidden = !form.hidden;
    edit.setAttribute("aria-expanded", String(!form.hidden));
    if (!form.hidden) edited.focus();
  });
  const buttons = h(
    "div",
    { class: "buttons" },
    scope.options.length > 1 ? h("label", {}, "For ", scope) : null,
    h("button", { type: "button", onclick: () => decide("approve") }, "Approve"),
    edit,
    h("button", { type: "button", onclick: () => decide("deny") }, "Deny")
  );
  const acting = h("div", {}, buttons, form);
  return acting;
}

const scopes = ({ allowed_scopes }) => (allowed_scopes?.length ? allowed_scopes : ["ONCE"]);

function parsed(edited, outcome, decide) {
  try {
    const given = JSON.parse(edited.value);
    edited.removeAttribute("aria-invalid");
    decide("edit", { arguments: given });
  } catch {
    edited.setAttribute("aria-invalid", "true");
    outcome.textContent = "That is no JSON.";
    edited.focus();
  }
}

async function send(acting, outcome, { permission_id, arguments_digest }, answer) {
  const controls = [...acting.querySelectorAll("button, select, textarea")];
  for (const control of controls) control.disabled = true;
  try {
    const { state } = await call("POST", at("permissions", permission_id), { arguments_digest, ...answer });
    for (const control of controls) control.disabled = false; // a disabled control has lost the focus
    outcome.focus();
    acting.dispatchEvent(new CustomEvent("decided", { detail: words(state) }));
    document.dispatchEvent(new CustomEvent("permissions-changed"));
  } catch (error) {
    for (const control of controls) control.disabled = false;
    outcome.textContent = error.message;
  }
}
