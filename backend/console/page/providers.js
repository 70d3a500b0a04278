// The providers, and the line in front of them.
import { call } from "./api.js";
import { byId, h, rows } from "./dom.js";
import { percent, seconds, words } from "./words.js";

/** The view's behaviour. */
export function openProviders() {
  return {
    async refresh() {
      const { providers, queued, running, queue_capacity, accepting_tasks } = await call("GET", "/providers");
      const line = [
        ["In line", queued],
        ["Running", running],
        ["Room", queue_capacity],
        ["New tasks", accepting_tasks ? "accepted" : "refused"],
      ];
      byId("line").replaceChildren(...line.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value)))));
      rows(byId("provider-rows"), providers.map(row));
    },
  };
}

const row = ({ name, models, state, in_flight, concurrency_limit, error_rate, latency_p50 }) => [
  name,
  models.join(", "),
  words(state),
  `${in_flight} of ${concurrency_limit}`,
  percent(error_rate),
  seconds(latency_p50),
];
