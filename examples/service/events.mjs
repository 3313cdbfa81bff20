// Reads the answers of agents in a browser, or in node: those of `sse(...)`, and of POST /agents/{name} with "stream".

/** An answer that is an error: `message` for people, `code` for programs, and the HTTP status. */
export class AgentError extends Error {
  constructor({ message, code = null }, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/**
 * Asks, and yields the events as they come: `open`, `token`, `message` and `end`.
 *
 * Leave the loop, or abort the `signal` of the options, and the agent is cancelled.
 *
 * @param {string} url
 * @param {RequestInit} options - as for fetch
 * @throws {AgentError} the agent failed, at once or in the middle, or the connection broke off
 */
export async function* ask(url, options = {}) {
  const response = await fetch(url, options);
  if (!response.ok) {
    const body = await response.json().catch(() => null);
    throw new AgentError(body?.error ?? { message: response.statusText }, response.status);
  }
  for await (const event of eventsOf(response.body)) {
    if (event.type === "error") throw new AgentError(event.error, response.status);
    yield event;
    if (event.type === "end") return;
  }
  throw new AgentError({ message: "The connection broke off.", code: "broken_off" }, response.status);
}

/** The events of a stream of bytes, however they are cut into pieces: what each has as data, parsed. */
export async function* eventsOf(stream) {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let data = [];
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
      const lines = rest.split(done ? /\r\n|\n|\r/ : /\r\n|\n|\r(?!$)/); // a \r at the end may be half of a \r\n
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith("data:")) {
          data.push(line.slice(line[5] === " " ? 6 : 5));
        } else if (line === "" && data.length) {
          yield JSON.parse(data.join("\n"));
          data = [];
        }
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {}); // it may have failed already
  }
}
