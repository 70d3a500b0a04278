// A run's events: server-sent events of a response, taken up again when the connection is lost.
import { open } from "./api.js";

const MOST_TRIES = 6;
const FIRST_PAUSE = 250; // milliseconds, doubled with each try

/** The events of a response: the JSON of each `data:` line. Comments are heartbeats. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let kind = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith("event: ")) kind = line.slice(7);
        if (line.startsWith("data: ")) yield { kind, ...JSON.parse(line.slice(6)) };
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Whether a run is over with this event; one that waits for a person only pauses. */
const isEnd = (event) =>
  event.kind === "error" || (event.kind === "complete" && event.finish_reason !== "WAITING_FOR_PERMISSION");

/** Show all events of a run to its end. `begin(signal)` opens the first stream; `run` learns id and last sequence.
 * Throws what cannot be mended: a Problem, or that the connection stays lost. */
export async function follow(begin, run, show, signal) {
  let response = await begin(signal);
  for (let tries = 0; ; ) {
    try {
      for await (const event of events(response)) {
        run.id = event.run_id || run.id;
        run.after = event.sequence || run.after;
        if (event.kind === "problem") break;
        tries = 0;
        show(event);
        if (isEnd(event)) return;
      }
    } catch (error) {
      if (signal.aborted || !(error instanceof TypeError)) throw error;
    }
    response = await again(run, signal, tries++);
  }
}

async function again(run, signal, tries) {
  for (; ; tries++) {
    if (!run.id || tries >= MOST_TRIES) throw new Error("The connection was lost.");
    if (tries) await pause(FIRST_PAUSE * 2 ** tries, signal);
    try {
      return await open("GET", `/chat/${run.id}/events`, { after: run.after, signal });
    } catch (error) {
      const away = error instanceof TypeError || error.status >= 500;
      if (signal.aborted || !away) throw error;
    }
  }
}

const pause = (milliseconds, signal) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
