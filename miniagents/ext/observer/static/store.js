// The one connection of the page: what is looked at, the frames that come, and how it heals.

import { batch, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

export const hello = signal(null);
export const status = signal("connecting"); // connecting, live, lost, denied
export const frameAt = signal(0); // when the last frame came, on performance.now()
export const paused = signal(false);
export const notices = signal([]);
export const texts = signal(null);
export const seek = signal(null); // the time that a recording is looked at, in seconds since the epoch
export let skew = 0; // seconds that the clock of the server is ahead

const sections = new Map();
const looks = new Map();
let socket = null;
let backoff = 500;
let flushing = false;
let retry = 0;
let frames = 0;
let numbers = 0;

export const now = () => Date.now() / 1000 + skew;
export const frameCount = () => frames;

export const section = (name) => {
  if (!sections.has(name)) sections.set(name, signal(null));
  return sections.get(name);
};

/** Look at a section while a component is there; null for no look. What it shows stays until the next view is there. */
export const useLook = (name, params) => {
  const key = JSON.stringify(params);
  const mine = useRef(null);
  useEffect(() => {
    if (params === null) return;
    mine.current ??= (numbers += 1);
    looks.set(name, { ...params, epoch: mine.current, ask: (numbers += 1) });
    flush();
  }, [name, key]);
  useEffect(() => () => {
    if (looks.get(name)?.epoch === mine.current) {
      looks.delete(name);
      section(name).value = null;
      flush();
    }
  }, [name]);
  const value = section(name).value;
  return value?.epoch === mine.current ? value : null;
};

const flush = () => {
  if (flushing) return;
  flushing = true;
  queueMicrotask(() => {
    flushing = false;
    say({ look: wanted() });
  });
};

// A hidden tab and a paused page look at nothing.
const wanted = () => {
  if (document.hidden || (paused.value && seek.value === null)) return {};
  const all = [...looks];
  return Object.fromEntries(seek.value === null ? all : all.map(([name, params]) => [name, { ...params, at: seek.value }]));
};

const say = (message) => {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
};

const merge = (name, delta) => {
  const at = section(name);
  const { fresh, gone, rows, ...values } = delta;
  if (!fresh && at.value === null) return; // of a look that is over
  const old = fresh ? {} : { ...(at.value ?? {}) };
  for (const key of gone ?? []) delete old[key];
  const next = { ...old, ...values };
  if (rows || next.order) {
    const all = { ...(fresh ? {} : at.value?.rows), ...rows };
    next.rows = Object.fromEntries((next.order ?? []).map((key) => [key, all[key]]).filter(([, row]) => row));
  }
  at.value = next;
};

export const notice = (text, kind = "info") => {
  const entry = { id: Math.random(), text, kind };
  notices.value = [...notices.value.slice(-3), entry];
  setTimeout(() => { notices.value = notices.value.filter((other) => other !== entry); }, kind === "bad" ? 9000 : 5000);
};

const take = (message) => {
  if (message.hello) {
    const before = hello.value;
    skew = message.hello.now - Date.now() / 1000;
    batch(() => {
      if (before && before.boot !== message.hello.boot) {
        for (const at of sections.values()) at.value = null;
        notice(`A new process is behind this address (pid ${message.hello.pid}).`);
      }
      hello.value = message.hello;
      if (message.hello.recording) seek.value ??= message.hello.recording.ends;
      texts.value ??= message.hello.texts;
      status.value = "live";
    });
    backoff = 500;
    say({ look: wanted() });
    return;
  }
  frames += 1;
  batch(() => {
    frameAt.value = performance.now();
    skew = (seek.value ?? message.at) - Date.now() / 1000;
    for (const [name, delta] of Object.entries(message.sections)) merge(name, delta);
  });
  // Taken once it is painted: a page that is slow gets fewer frames.
  const taken = () => say({ taken: message.n });
  if (document.hidden) taken();
  else requestAnimationFrame(taken);
};

export const connect = () => {
  const url = new URL("live", document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  if (texts.value) url.searchParams.set("texts", texts.value);
  const mine = (socket = new WebSocket(url));
  mine.onmessage = (event) => take(JSON.parse(event.data));
  mine.onclose = async () => {
    if (socket !== mine) return;
    status.value = "lost";
    try {
      const answer = await fetch("./", { method: "HEAD", cache: "no-store" }).catch(() => null);
      if (answer?.status === 401) status.value = "denied";
    } finally {
      clearTimeout(retry);
      retry = setTimeout(connect, backoff * (0.75 + Math.random() / 2));
      backoff = Math.min(backoff * 2, 8000);
    }
  };
};

export const reconnect = () => {
  const old = socket;
  for (const at of sections.values()) at.value = null;
  socket = null;
  old?.close();
  connect();
};

/** Look at another time of a recording. */
export const setSeek = (at) => {
  seek.value = at;
  flush();
};

export const setPaused = (is) => {
  paused.value = is;
  flush();
};

document.addEventListener("visibilitychange", flush);
window.addEventListener("online", () => { if (status.value !== "live") { clearTimeout(retry); connect(); } });

/** Do an action; says how it went. */
export const act = async (kind, asked) => {
  try {
    const answer = await fetch("actions", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ kind, boot: hello.value?.boot, ...asked }),
    });
    const said = await answer.json();
    if (said.done) notice(said.done, "good");
    else notice(`Refused: ${said.refused ?? answer.statusText}`, "bad");
    return Boolean(said.done);
  } catch {
    notice("The process did not answer.", "bad");
    return false;
  }
};

export const may = (kind) => hello.value?.actions.includes(kind) ?? false;
