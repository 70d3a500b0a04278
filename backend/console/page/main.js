// Who is signed in, which view is shown, and what refreshes while it is.
import { call } from "./api.js";
import { openChat } from "./chat.js";
import { byId } from "./dom.js";
import { openInbox } from "./inbox.js";
import { openProviders } from "./providers.js";
import { openRollout } from "./rollout.js";
import { openTasks } from "./tasks.js";

const VIEWS = ["chat", "inbox", "tasks", "providers", "rollout"];
const REFRESH_MILLISECONDS = 2000;

/** The views' parts: `refresh()` fetches what a view shows, `forget()` drops what a user has left behind. */
const parts = {
  chat: openChat(),
  inbox: openInbox(),
  tasks: openTasks(),
  providers: openProviders(),
  rollout: openRollout(),
};
let user = null;
let shown = "";
let stale = false; // whether the last refresh failed, and says so

function show(name) {
  const first = !shown;
  shown = name;
  for (const view of [...VIEWS, "login"]) byId(view).hidden = view !== name;
  for (const link of byId("views").children) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const title = byId(`${name}-title`);
  document.title = `${title.textContent} - Console`;
  if (!first) title.focus({ preventScroll: true });
  refresh();
}

function route() {
  const name = location.hash.slice(1);
  if (user && (VIEWS.includes(name) || !shown || shown === "login")) show(VIEWS.includes(name) ? name : "chat");
}

async function refresh() {
  if (!user || document.hidden) return;
  try {
    await Promise.all([parts.inbox.refresh(user), shown === "inbox" ? null : parts[shown]?.refresh?.(user)]);
    if (stale) complain("");
    stale = false;
  } catch (error) {
    stale = error.status !== 401;
    if (stale) complain(error instanceof TypeError ? "The backend does not answer." : error.message);
  }
}

function complain(text) {
  const problem = byId("problem");
  if (problem.textContent !== text) problem.textContent = text;
  problem.hidden = !text;
}

function signedIn(who) {
  user = who;
  byId("who").textContent = who.user_id;
  for (const id of ["views", "sign-out"]) byId(id).hidden = false;
  route();
}

function signedOut() {
  if (shown === "login") return;
  user = null;
  for (const part of Object.values(parts)) part.forget?.();
  byId("who").textContent = "";
  for (const id of ["views", "sign-out"]) byId(id).hidden = true;
  show("login");
}

byId("login-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  try {
    await call("POST", "/session", { user: form.user.value, password: form.password.value });
    form.reset();
    complain("");
    signedIn(await call("GET", "/session"));
  } catch (error) {
    complain(error.message);
  }
});
byId("sign-out").addEventListener("click", () => call("DELETE", "/session").then(signedOut, (error) => complain(error.message)));
document.addEventListener("signed-out", signedOut);
document.addEventListener("permissions-changed", refresh);
document.addEventListener("problem", (event) => complain(event.detail));
document.addEventListener("visibilitychange", refresh);
window.addEventListener("hashchange", route);

/** One refresh ends before the next begins. */
async function keepFresh() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, REFRESH_MILLISECONDS));
    await refresh();
  }
}

const { user_id, administrator } = await call("GET", "/console/session");
if (user_id) signedIn({ user_id, administrator });
else signedOut();
keepFresh();
