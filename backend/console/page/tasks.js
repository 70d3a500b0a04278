// Work in the background: begin it, follow it, cancel it.
import { at, call, open } from "./api.js";
import { byId, h, keyed } from "./dom.js";
import { follow } from "./follow.js";
import { Turn } from "./turn.js";
import { place, words } from "./words.js";

const OVER = new Set(["SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"]);
const TITLE_CHARACTERS = 100;
const SHOWN = 20;

/** The view's behaviour. */
export function openTasks() {
  const kept = new Map();
  const list = byId("task-list");
  const show = (tasks) => keyed(list, tasks, kept, ({ task_id }) => task_id, (task) => new Card(task));
  const refresh = async () => show((await call("GET", `/tasks?limit=${SHOWN}`)).tasks);
  byId("task-form").addEventListener("submit", (event) => {
    event.preventDefault();
    start(event.target).then(refresh).catch(complain);
  });
  return {
    refresh,
    forget() {
      for (const card of kept.values()) card.leave();
      show([]);
    },
  };
}

async function start(form) {
  const query = form.query.value.trim();
  const labels = { title: query.slice(0, TITLE_CHARACTERS) };
  const task = { query, agent_type: form.agent.value.trim(), priority: form.priority.value, labels };
  form.query.value = ""; // now: what is typed while we wait is the next one
  try {
    await call("POST", "/tasks", task);
  } catch (error) {
    form.query.value ||= query;
    throw error;
  }
}

const complain = (error) => document.dispatchEvent(new CustomEvent("problem", { detail: error.message }));

/** One task. Its events are followed while it is watched; leaving them stops nothing. */
class Card {
  constructor({ task_id, labels }) {
    this.id = task_id;
    this.leaving = null;
    const title = labels.title || task_id;
    this.state = h("p", { class: "state" });
    this.progress = h("progress", { max: 1, "aria-label": `Progress of ${title}`, hidden: true });
    this.result = h("p", { class: "result" });
    this.watching = h("div", { class: "watching" });
    this.watch = h("button", { type: "button", "aria-label": `Watch ${title}`, "aria-pressed": "false" }, "Watch");
    this.watch.addEventListener("click", () => (this.leaving ? this.leave() : this.follow()));
    this.stop = h("button", { type: "button", "aria-label": `Cancel ${title}`, onclick: () => this.cancel() }, "Cancel");
    const buttons = h("div", { class: "buttons" }, this.watch, this.stop);
    this.element = h("li", {}, h("h2", {}, title), this.state, this.progress, this.result, this.watching, buttons);
  }

  update({ state, queue_position, estimated_wait, progress, result, error, agent_name }) {
    const texts = [words(state), place(queue_position, estimated_wait), agent_name && `agent ${agent_name}`];
    this.state.textContent = texts.filter(Boolean).join(" · ");
    this.state.classList.toggle("failed", state === "FAILED" || state === "EXPIRED");
    this.progress.hidden = progress == null || OVER.has(state);
    if (progress != null) this.progress.value = progress;
    this.result.textContent = this.watching.firstChild ? "" : error?.message || result;
    this.stop.disabled = OVER.has(state) || state === "CANCELLING";
  }

  async follow() {
    const leaving = (this.leaving = new AbortController());
    const turn = new Turn();
    this.watch.setAttribute("aria-pressed", "true");
    this.result.textContent = "";
    this.watching.replaceChildren(turn.element);
    const begin = (signal) => open("GET", at("tasks", this.id, "events"), { signal });
    try {
      await follow(begin, { id: this.id, after: 0 }, (event) => turn.take(event), leaving.signal);
    } catch (error) {
      if (!leaving.signal.aborted) turn.failed(error.message);
    }
  }

  leave() {
    this.leaving?.abort();
    this.leaving = null;
    this.watch.setAttribute("aria-pressed", "false");
    this.watching.replaceChildren();
  }

  async cancel() {
    try {
      this.update(await call("DELETE", at("tasks", this.id)));
    } catch (error) {
      complain(error);
    }
  }
}
