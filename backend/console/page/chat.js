// A conversation: turns that stream, one at a time.
import { Announcer } from "./announcer.js";
import { at, call, open } from "./api.js";
import { byId, h } from "./dom.js";
import { follow } from "./follow.js";
import { Turn } from "./turn.js";

const REMEMBERED_MESSAGES = 20;
const NO_TITLE = "New conversation";

/** The view's behaviour. */
export function openChat() {
  const chat = new Chat(byId("chat-form"), byId("turns"), new Announcer(byId("spoken")));
  byId("stop").addEventListener("click", () => chat.stop());
  byId("anew").addEventListener("click", () => (chat.forget(), byId("chat-form").query.focus()));
  return chat;
}

class Chat {
  constructor(form, turns, announcer) {
    this.form = form;
    this.turns = turns;
    this.announcer = announcer;
    this.forget();
    form.addEventListener("submit", (event) => (event.preventDefault(), this.send()));
    form.query.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
  }

  /** Leave the conversation. Its run goes on where it does not wait for us. */
  forget() {
    this.leaving?.abort();
    this.leaving = null;
    this.running = null; // {id, after} of the turn under way
    this.conversation = crypto.randomUUID?.() ?? String(Math.random()).slice(2);
    this.history = [];
    this.locked = "";
    this.turns.replaceChildren();
    this.title(NO_TITLE);
    this.busy(false);
  }

  async send() {
    const query = this.form.query.value.trim();
    if (!query || this.running?.busy) return;
    this.leaving?.abort(); // a turn that waits for a person ends with the next one
    const leaving = (this.leaving = new AbortController());
    const run = (this.running = { id: "", after: 0, busy: true });
    const turn = new Turn(this.announcer);
    this.turns.append(h("div", { class: "asked" }, query), turn.element);
    this.form.query.value = "";
    this.busy(true);
    const begin = (signal) => open("POST", "/chat", { body: this.request(query), signal });
    try {
      await follow(begin, run, (event) => this.take(event, turn, run), leaving.signal);
      this.history.push({ role: "user", content: query }, { role: "assistant", content: turn.text });
    } catch (error) {
      turn.failed(leaving.signal.aborted ? "Stopped" : error.message);
    } finally {
      if (this.running === run) {
        this.running = null;
        this.busy(false);
      }
    }
  }

  /** The history is for a path that does not know the conversation; who knows it does not look at it. */
  request(query) {
    return {
      query,
      conversation_id: this.conversation,
      agent_type: this.form.agent.value.trim(),
      locked_agent: this.locked,
      conversation_history: this.history.slice(-REMEMBERED_MESSAGES),
      run_options: { on_disconnect: "DISCONNECT_BEHAVIOR_CONTINUE" },
    };
  }

  take(event, turn, run) {
    const near = this.turns.scrollHeight - this.turns.scrollTop - this.turns.clientHeight < 80;
    turn.take(event);
    if (event.kind === "title") this.title(event.title);
    if (event.kind === "complete") {
      this.locked = event.metadata.locked_agent ?? "";
      run.busy = false;
      this.busy(event.finish_reason === "WAITING_FOR_PERMISSION", true);
    }
    if (near) requestAnimationFrame(() => this.turns.scrollTo(0, this.turns.scrollHeight));
  }

  /** Cancel the run; one without an id ends when we leave it. */
  async stop() {
    const { running, leaving } = this;
    if (!running?.id) return leaving?.abort();
    try {
      await call("DELETE", at("tasks", running.id));
    } catch (error) {
      document.dispatchEvent(new CustomEvent("problem", { detail: error.message }));
    }
  }

  title(text) {
    byId("chat-title").textContent = text;
    if (!byId("chat").hidden) document.title = `${text} - Console`;
  }

  /** Whether a run can be stopped; `open`: another turn may begin all the same. */
  busy(stoppable, open = !stoppable) {
    byId("stop").disabled = !stoppable;
    this.form.querySelector("[type=submit]").disabled = !open;
  }
}
