// The dial, and how both paths do.
import { call } from "./api.js";
import { byId, rows } from "./dom.js";
import { percent, seconds, words } from "./words.js";

/** The view's behaviour. */
export function openRollout() {
  const act = (method, path, body) => call(method, path, body).then(show, complain);
  byId("halt").addEventListener("click", () => act("POST", "/rollout/halt", {}));
  byId("release").addEventListener("click", () => act("POST", "/rollout/release", {}));
  byId("dial-form").addEventListener("submit", (event) => {
    event.preventDefault();
    act("PUT", "/rollout/percentage", { percentage: event.target.percentage.valueAsNumber });
  });
  return {
    async refresh({ administrator }) {
      const state = await call("GET", "/rollout");
      byId("halting").hidden = !administrator;
      byId("dial-form").hidden = !administrator || !state.adjustable;
      show(state);
    },
  };
}

const complain = (error) => document.dispatchEvent(new CustomEvent("problem", { detail: error.message }));

function show({ enabled, percentage, halted, breaker_open, decisions, fallbacks, paths }) {
  const dial = byId("dial");
  const now = enabled ? percentage : 0;
  dial.setAttribute("aria-valuenow", now);
  dial.setAttribute("aria-valuetext", `${now} percent`);
  byId("percentage").textContent = `${now} %`;
  byId("hand").style.strokeDasharray = `${now} 100`;
  byId("dial-form").percentage.placeholder = String(percentage);
  byId("rollout-state").textContent = stated(enabled, halted, breaker_open);
  rows(byId("path-rows"), Object.entries(paths).map(pathRow));
  const decided = decisions.map(({ path, reason, count }) => [words(path), words(reason), String(count)]);
  const fallen = fallbacks.map(({ cause, count }) => ["fell back to local", words(cause), String(count)]);
  rows(byId("decision-rows"), [...decided, ...fallen]);
}

function stated(enabled, halted, breakerOpen) {
  if (!enabled) return "Switched off: everybody is answered locally.";
  if (halted) return `Halted (${words(halted)}): only allowed users go to the orchestrator.`;
  return breakerOpen ? "On, but the orchestrator is not reached." : "On.";
}

const pathRow = ([path, { samples, error_ratio, latency_seconds }]) => [
  words(path),
  String(samples),
  percent(error_ratio),
  seconds(latency_seconds),
];
