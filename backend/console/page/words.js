// Numbers and names of the contract as words.

/** Seconds as people say them. */
export function seconds(value) {
  if (value == null) return "unknown";
  if (value < 10) return `${Number(value.toPrecision(2))} s`;
  return value < 120 ? `${Math.round(value)} s` : `${Math.round(value / 60)} min`;
}

export const percent = (ratio) => (ratio == null ? "unknown" : `${(ratio * 100).toFixed(1)} %`);

/** WAITING_FOR_PERMISSION -> waiting for permission. */
export const words = (name) => String(name).toLowerCase().replaceAll("_", " ");

/** Where one stands in line; empty for who does not. */
export function place(position, wait) {
  if (!position) return "";
  return `Place ${position} in line${wait == null ? "" : `, about ${seconds(wait)}`}`;
}

export const json = (value) => JSON.stringify(value ?? {}, null, 2);
