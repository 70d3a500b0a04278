// Says an answer while it comes: sentence by sentence, since single tokens would be cut off by the next one.
import { h } from "./dom.js";

const SENTENCE = /^[\s\S]*?[.!?:](?=\s)|^[^\n]*\n/;
const MOST_SAID = 20;

export class Announcer {
  #region;
  #rest = "";

  /** `region` is a live region that nobody sees. */
  constructor(region) {
    this.#region = region;
  }

  add(text) {
    this.#rest += text;
    for (let match; (match = SENTENCE.exec(this.#rest)); this.#rest = this.#rest.slice(match[0].length)) this.say(match[0]);
  }

  finish() {
    this.say(this.#rest);
    this.#rest = "";
  }

  say(text) {
    if (!text.trim()) return;
    this.#region.append(h("p", {}, text.trim()));
    while (this.#region.children.length > MOST_SAID) this.#region.firstChild.remove();
  }
}
