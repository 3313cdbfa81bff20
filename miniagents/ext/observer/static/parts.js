// Small parts that several pages use.

import { h } from "preact";
import htm from "htm";
import { signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { now } from "./store.js";
import { clock, seconds } from "./format.js";

export const html = htm.bind(h);

/** The address of a thing in the page. */
export const link = {
  actor: (path) => `#/agents${path.split("/").map(encodeURIComponent).join("/")}`,
  call: (id) => `#/interactions/${id}`,
};

const paths = {
  overview: "M3 12h4l3-8 4 16 3-8h4",
  agents: "M12 4v5M12 9l-6 5M12 9l6 5M12 4a2 2 0 1 0 0-.1M6 18a2.4 2.4 0 1 0 0-.1M18 18a2.4 2.4 0 1 0 0-.1",
  interactions: "M4 6h9M8 12h10M11 18h9",
  timeline: "M12 7v5l3 2M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0",
  limits: "M4 18a8 8 0 1 1 16 0M12 18l4-6",
  jobs: "M9 11l2.5 2.5L17 8M4 5h16v14H4z",
  letters: "M3 6h18v12H3zM3 7l9 6 9-6",
  nodes: "M4 5h16v5H4zM4 14h16v5H4zM8 7.5h.01M8 16.5h.01",
  search: "M20 20l-4-4M18 11a7 7 0 1 1-14 0 7 7 0 0 1 14 0",
  pause: "M9 6v12M15 6v12",
  play: "M8 5l11 7-11 7z",
  sun: "M12 4V2M12 22v-2M4 12H2M22 12h-2M6 6 4.6 4.6M19.4 19.4 18 18M6 18l-1.4 1.4M19.4 4.6 18 6M16 12a4 4 0 1 1-8 0 4 4 0 0 1 8 0",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z",
  close: "M6 6l12 12M18 6L6 18",
  help: "M9.5 9a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1 1-1.1 1.8M12 17h.01M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
};

export const Icon = ({ name }) => html`
  <svg class="icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d=${paths[name]} /></svg>`;

/** A clock for all that shows an age: one turn a second. */
const beat = signal(0);
setInterval(() => { if (!document.hidden) beat.value += 1; }, 1000);

export const Age = ({ at, title }) => {
  beat.value;
  return html`<span title=${title ?? clock(at)}>${seconds(Math.max(now() - at, 0))}</span>`;
};

export const State = ({ state, label }) => html`
  <span class="state" data-state=${state}><i aria-hidden="true"></i>${label === false ? html`<span class="quiet">${state}</span>` : state}</span>`;

export const Path = ({ path }) => (path === "/" ? html`<a class="path" href="#/agents/">/</a>` : html`<a class="path" href=${link.actor(path)} title=${path}>${path}</a>`);

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

/** What a list is a part of: shown, all, the oldest, what was dropped. */
export const Reach = ({ shown, of, oldest, dropped, word }) => html`
  <p class="reach">${shown === of ? `${of} ${word}` : `${shown} of ${of} ${word}`}${oldest ? `, oldest from ${clock(oldest)}` : ""}${dropped ? html`, <span class="warn">${dropped} older ones dropped</span>` : ""}</p>`;

/** Hold a list still while the pointer or the focus is in it: what comes meanwhile is counted, what goes stays as it was. */
export const useHold = (view) => {
  const [held, setHeld] = useState(false);
  const shown = useRef({ order: [], rows: {} });
  const inside = useRef(new Set());
  const accept = () => { shown.current = { order: view.order, rows: view.rows, ask: view.ask }; };
  if (view?.order) {
    if (!held || shown.current.ask !== view.ask) accept();
    else {
      const rows = {};
      for (const key of shown.current.order) rows[key] = view.rows[key] ?? { ...shown.current.rows[key], tombstone: true };
      shown.current.rows = rows;
    }
  } else shown.current = { order: [], rows: {} };
  const known = new Set(shown.current.order);
  const set = (why, is) => {
    if (is) inside.current.add(why);
    else inside.current.delete(why);
    setHeld(inside.current.size > 0);
  };
  return {
    ...shown.current,
    fresh: held && view?.order ? view.order.filter((key) => !known.has(key)).length : 0,
    catchUp: () => { inside.current.clear(); accept(); setHeld(false); },
    on: {
      onPointerEnter: () => set("pointer", true),
      onPointerLeave: () => set("pointer", false),
      onFocusIn: () => set("focus", true),
      onFocusOut: (event) => { if (!event.currentTarget.contains(event.relatedTarget)) set("focus", false); },
    },
  };
};

export const Fresh = ({ hold }) => (hold.fresh ? html`<button class="fresh" onClick=${hold.catchUp}>${hold.fresh} new</button>` : null);

/** A list of which only the rows in sight are there. */
export const Virtual = ({ total, height, order, rows, first, onWindow, row, label, role = "list", extra = {}, focus }) => {
  const box = useRef(null);
  const [top, setTop] = useState(0);
  const [size, setSize] = useState(400);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => { if (box.current) setSize(box.current.clientHeight); });
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  const begin = Math.max(Math.floor(top / height) - 6, 0);
  const count = Math.ceil(size / height) + 12;
  useEffect(() => onWindow(begin, count), [begin, count]);
  useEffect(() => {
    if (focus === undefined || focus === null || !box.current) return;
    const at = focus * height;
    if (at < box.current.scrollTop) box.current.scrollTop = at;
    else if (at + height > box.current.scrollTop + box.current.clientHeight) box.current.scrollTop = at + height - box.current.clientHeight;
  }, [focus]);
  return html`
    <div class="virtual" ref=${box} onScroll=${() => setTop(box.current.scrollTop)} ...${extra} role=${role} aria-label=${label} tabindex=${extra.tabindex ?? 0}>
      <div class="filler" role="presentation" style=${{ height: `${total * height}px` }}>
        ${order.map((key, place) => rows[key] && html`<div class="place" role=${role === "list" ? "listitem" : "presentation"} key=${key} style=${{ transform: `translateY(${(first + place) * height}px)`, height: `${height}px` }}>${row(rows[key], first + place)}</div>`)}
      </div>
    </div>`;
};

/** Let the arrow keys go from link to link in a list. */
export const arrows = (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 }[event.key];
  if (!step) return;
  const links = [...event.currentTarget.querySelectorAll("a.row, button.row")];
  const place = links.indexOf(document.activeElement);
  const next = links[place + step] ?? (place < 0 ? links[0] : null);
  if (next) { next.focus(); event.preventDefault(); }
};

/** A button that asks once more, in its own place. */
export const Sure = ({ children, question, onSure, kind = "" }) => {
  const [asks, setAsks] = useState(false);
  const yes = useRef(null);
  useEffect(() => { if (asks) yes.current?.focus(); }, [asks]);
  if (!asks) return html`<button class="button ${kind}" onClick=${() => setAsks(true)}>${children}</button>`;
  return html`
    <span class="sure" role="group" aria-label=${question} onKeyDown=${(event) => { if (event.key === "Escape") { event.stopPropagation(); setAsks(false); } }}>
      <span>${question}</span>
      <button class="button bad" ref=${yes} onClick=${() => { setAsks(false); onSure(); }}>Yes</button>
      <button class="button" onClick=${() => setAsks(false)}>No</button>
    </span>`;
};

export const Stack = ({ parts }) => {
  const total = parts.reduce((sum, [, value]) => sum + value, 0) || 1;
  return html`
    <div class="stack" role="img" aria-label=${parts.filter(([, value]) => value > 0).map(([name, value]) => `${name} ${Math.round((100 * value) / total)} %`).join(", ")}>
      ${parts.filter(([, value]) => value > 0).map(([name, value]) => html`<i data-cause=${name} style=${{ flexGrow: value / total }} title=${`${name}: ${seconds(value)}`}></i>`)}
    </div>`;
};

export const Spark = ({ values, label, tone = "accent" }) => {
  if (!values || values.length < 2) return html`<svg class="spark" aria-hidden="true"></svg>`;
  const top = Math.max(...values, 1e-9);
  const points = values.map((value, place) => `${((100 * place) / (values.length - 1)).toFixed(2)},${(27 - (24 * value) / top).toFixed(2)}`);
  return html`
    <svg class="spark" data-tone=${tone} viewBox="0 0 100 28" preserveAspectRatio="none" role="img" aria-label=${label}>
      <polygon points=${`0,28 ${points.join(" ")} 100,28`} /><polyline points=${points.join(" ")} />
    </svg>`;
};
