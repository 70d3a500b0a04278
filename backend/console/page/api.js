// Calls of the backend: the session's cookie says who calls, nothing else does.

/** What the backend answers that is no success: RFC 9457. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `HTTP ${status}`);
    this.status = status;
    this.reason = body.reason ?? "";
    this.retryAfter = body.retry_after_seconds ?? null;
  }
}

/** The response, whatever its body will be. Throws a Problem, or a TypeError where nobody answers. */
export async function open(method, path, { body, after, signal } = {}) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (after) headers["Last-Event-ID"] = String(after);
  const response = await fetch(path, {
    method,
    headers,
    signal,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (response.ok) return response;
  const problem = new Problem(response.status, await response.json().catch(() => ({})));
  if (response.status === 401) document.dispatchEvent(new CustomEvent("signed-out"));
  throw problem;
}

/** The JSON that a call answers with; null for none. */
export async function call(method, path, body) {
  const response = await open(method, path, { body });
  return response.status === 204 ? null : response.json();
}

/** An address with an id of the server's in it. */
export const at = (...parts) => "/" + parts.map(encodeURIComponent).join("/");
