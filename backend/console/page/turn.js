// One run as it is shown: what it says, what it calls, what it asks, where it stands.
import { h } from "./dom.js";
import { Markdown } from "./markdown.js";
import { permissionCard } from "./permission.js";
import { said, sourceList, toolRow } from "./said.js";
import { json, place, words } from "./words.js";

export class Turn {
  /** `announcer` says the answer while it comes; null = nobody does. */
  constructor(announcer = null) {
    this.announcer = announcer;
    this.state = h("p", { class: "state" });
    this.body = h("div", { class: "body" });
    this.sources = h("ol", { class: "sources", "aria-label": "Sources", hidden: true });
    this.element = h("div", { class: "run" }, this.state, this.body, this.sources);
    this.pieces = []; // {sequence, index, channel, text}
    this.parts = new Map(); // a message's Markdown by channel and index
    this.calls = new Map(); // a tool's row by its call
    this.cards = new Map(); // a permission's card
    this.cited = new Map(); // a source's element by number
    this.lookUp = () => null; // another function with each new source, so that marks are made anew
    this.waiting = false; // for a frame
  }

  /** Show an event; what this page does not know is left out. */
  take(event) {
    this[`on_${event.kind}`]?.(event);
  }

  /** The answer's text. */
  get text() {
    return this.pieces.filter((piece) => piece.channel !== "REASONING").map((piece) => piece.text).join("");
  }

  on_status({ state, text, queue_position, estimated_wait, progress }) {
    this.stands([text || words(state), place(queue_position, estimated_wait)], progress);
  }

  on_snapshot({ task }) {
    this.stands([words(task.state), place(task.queue_position, task.estimated_wait)], task.progress);
  }

  on_agent_update({ name, routing_reason }) {
    this.stands([`Agent: ${name}`, routing_reason && `chosen by: ${routing_reason}`]);
  }

  on_content({ sequence, message_index, channel, text, citations }) {
    this.pieces.push({ sequence, index: message_index, channel, text });
    this.part(channel, message_index);
    for (const citation of citations) sourceList(this.sources, this.cited, citation);
    if (citations.length) this.lookUp = (number) => this.cited.get(number) ?? null;
    if (channel !== "REASONING") this.announcer?.add(text);
    this.draw();
  }

  on_reset({ from_sequence, reason }) {
    this.pieces = this.pieces.filter((piece) => piece.sequence < from_sequence);
    if (reason === "NEW_ATTEMPT") this.stands(["The answer begins anew"]);
    this.draw();
  }

  on_tool_call(event) {
    const row = toolRow(event);
    this.calls.set(event.tool_call_id, row);
    this.body.append(row.element);
  }

  on_tool_result(event) {
    this.calls.get(event.tool_call_id)?.ended(event);
  }

  on_plan({ plan }) {
    this.plan ??= this.body.appendChild(h("details", { class: "plan" }, h("summary", {}, "Plan"), h("pre", { tabindex: "0" })));
    this.plan.lastChild.textContent = json(plan);
  }

  on_permission_requested({ permission }) {
    if (this.cards.has(permission.permission_id)) return;
    const card = permissionCard(permission);
    this.cards.set(permission.permission_id, card);
    this.body.append(card.element);
    this.announcer?.say(`Permission is asked for ${permission.tool_name}.`);
    document.dispatchEvent(new CustomEvent("permissions-changed"));
  }

  on_permission_resolved({ permission_id, state }) {
    this.cards.get(permission_id)?.decided(words(state));
    document.dispatchEvent(new CustomEvent("permissions-changed"));
  }

  on_notification({ title, body }) {
    this.body.append(said("note", title, body));
  }

  on_artifact({ title, mime_type }) {
    this.body.append(said("note", title, mime_type));
  }

  on_editor_operations({ filename, operations }) {
    this.body.append(said("note", `Edits of ${filename}`, json(operations)));
  }

  on_complete({ finish_reason, final_text, metadata, usage }) {
    if (finish_reason === "WAITING_FOR_PERMISSION") return this.stands(["Waits for your permission"]);
    if (final_text && !this.text) this.on_content({ sequence: 0, message_index: 0, text: final_text, citations: [] });
    this.announcer?.finish();
    const tokens = usage ? `${usage.output_tokens} tokens` : "";
    const reason = finish_reason === "STOP" ? "Done" : `Ended: ${words(finish_reason)}`;
    this.stands([reason, metadata.model, metadata.path === "local" ? "answered locally" : "", tokens]);
  }

  on_error({ error }) {
    this.announcer?.finish();
    this.failed(error.message || words(error.reason));
  }

  /** Say that it failed. */
  failed(text) {
    this.stands([text]);
    this.state.classList.add("failed");
    this.announcer?.say(text);
  }

  stands(texts, progress = null) {
    this.state.classList.remove("failed");
    this.state.replaceChildren(texts.filter(Boolean).join(" · "));
    if (progress != null) this.state.append(" ", h("progress", { max: 1, value: progress, "aria-label": "Progress" }));
  }

  part(channel, index) {
    const key = `${channel === "REASONING" ? "r" : "a"}${index}`;
    if (this.parts.has(key)) return;
    const text = h("div", { class: "markdown" });
    const shown = key[0] === "r" ? h("details", {}, h("summary", {}, "Reasoning"), text) : text;
    this.parts.set(key, new Markdown(text));
    this.body.append(shown);
  }

  /** Once in a frame, however many tokens came in it. */
  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      const texts = new Map([...this.parts.keys()].map((key) => [key, ""]));
      for (const { channel, index, text } of this.pieces) {
        const key = `${channel === "REASONING" ? "r" : "a"}${index}`;
        texts.set(key, texts.get(key) + text);
      }
      for (const [key, text] of texts) this.parts.get(key).show(text, this.lookUp);
    });
  }
}
