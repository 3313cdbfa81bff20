// The supervision tree, and one agent of it.

import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { Age, Empty, Fresh, Icon, State, Sure, Virtual, arrows, html, link, useHold } from "./parts.js";
import { exact, number, plural } from "./format.js";
import { act, frameAt, may, section, useLook } from "./store.js";
import { CallRow } from "./shared.js";
import { HappeningRow } from "./lists.js";

const HEIGHT = 32;
const open = signal(readOpen());
const at = signal(0); // the row with the focus

function readOpen() {
  try { return JSON.parse(sessionStorage.getItem("observer.open")) ?? []; } catch { return []; }
}

const toggle = (row, is = !row.open) => {
  const name = row.path === "/" ? "-/" : row.path;
  const add = row.path === "/" ? !is : is;
  open.value = add ? [...new Set([...open.value, name])] : open.value.filter((other) => other !== name);
  try { sessionStorage.setItem("observer.open", JSON.stringify(open.value)); } catch { /* it is forgotten with the tab */ }
};

// Messages a second of each row, from one frame to the next.
const handled = new Map();
const rate = (row) => {
  if (row.handled === undefined) return null;
  const time = performance.now();
  const known = handled.get(row.key);
  if (!known) { handled.set(row.key, { count: row.handled, time, rate: 0 }); return 0; }
  if (time - known.time > 900) {
    known.rate = ((row.handled - known.count) * 1000) / (time - known.time);
    known.count = row.handled;
    known.time = time;
  }
  if (handled.size > 5000) handled.delete(handled.keys().next().value);
  return known.rate;
};

const Row = ({ row, place, chosen }) => {
  const group = row.group !== undefined;
  const speed = rate(row);
  return html`
    <div class="tree-row" id=${`tree-${place}`} role="treeitem" aria-level=${row.depth + 1} aria-expanded=${group || row.children ? String(row.open) : null}
      aria-selected=${String(chosen)} data-focus=${at.value === place} data-failed=${Boolean(row.error)} data-tombstone=${row.tombstone}
      onClick=${() => { at.value = place; if (group) toggle(row); else location.hash = link.actor(row.path); }}>
      <span class="tree-name" style=${{ paddingLeft: `${row.depth * 16}px` }}>
        <span class="fold" data-on=${Boolean(group || row.children)} data-open=${row.open} onClick=${(event) => { event.stopPropagation(); at.value = place; if (group || row.children) toggle(row); }} aria-hidden="true"></span>
        ${group ? html`<b class="group">${row.name}</b><small>× ${exact(row.group)}</small>` : html`<i class="dot" data-state=${row.state}></i><b>${row.name}</b>${row.kind !== row.name && html`<small>${row.kind}</small>`}${row.node && html`<small class="chip">${row.node}</small>`}`}
        ${row.error && html`<small class="err" title=${row.error}>${row.error}</small>`}
      </span>
      <span class="tree-state">${group ? html`<span class="counts">${Object.entries(row.counts).map(([state, n]) => html`<span><i class="dot" data-state=${state}></i>${exact(n)}</span>`)}</span>` : row.state}</span>
      <span class="cell" data-hot=${row.mailbox > 0}>${row.mailbox > 0 ? number(row.mailbox) : ""}${row.oldest && html`<small> <${Age} at=${row.oldest} /></small>`}</span>
      <span class="cell">${speed ? `${number(speed)}/s` : ""}</span>
      <span class="cell handled">${row.handled ? number(row.handled) : ""}</span>
      <span class="cell" data-hot=${row.restarts > 0}>${row.restarts ? `${number(row.restarts)}↻` : ""}</span>
    </div>`;
};

const Tree = ({ chosen }) => {
  const [win, setWin] = useState([0, 50]);
  const params = { open: open.value, first: win[0], count: win[1] };
  const view = useLook("tree", params);
  const hold = useHold(view);
  frameAt.value;
  const total = view?.total ?? 0;
  const first = view?.first ?? 0;
  const rowAt = (place) => hold.rows[hold.order[place - first]];
  const keys = (event) => {
    const row = rowAt(at.value);
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, j: 1, k: -1 }[event.key];
    if (step) at.value = Math.min(Math.max(at.value + step, 0), Math.max(total - 1, 0));
    else if (event.key === "Home") at.value = 0;
    else if (event.key === "End") at.value = Math.max(total - 1, 0);
    else if (event.key === "ArrowRight" && row) { if ((row.group !== undefined || row.children) && !row.open) toggle(row, true); else at.value = Math.min(at.value + 1, total - 1); }
    else if (event.key === "ArrowLeft" && row) {
      if (row.open) toggle(row, false);
      else { let up = at.value - 1; while (up > first && (rowAt(up)?.depth ?? -1) >= row.depth) up -= 1; at.value = Math.max(up, 0); }
    } else if ((event.key === "Enter" || event.key === " ") && row) { if (row.group !== undefined) toggle(row); else location.hash = link.actor(row.path); }
    else return;
    event.preventDefault();
  };
  return html`
    <div class="tree-head" aria-hidden="true"><span>agent</span><span>state</span><span>mailbox</span><span>rate</span><span class="handled">handled</span><span>restarts</span></div>
    <div class="held" ...${hold.on}>
      <${Virtual} total=${total} height=${HEIGHT} first=${first} order=${hold.order} rows=${hold.rows} role="tree" label="Supervision tree" focus=${at.value}
        onWindow=${(begin, count) => { if (begin !== win[0] || count !== win[1]) setWin([begin, count]); }}
        extra=${{ onKeyDown: keys, "aria-activedescendant": `tree-${at.value}` }}
        row=${(row, place) => html`<${Row} row=${row} place=${place} chosen=${row.path === chosen} />`} />
      <${Fresh} hold=${hold} />
    </div>
    ${view && html`<p class="reach">${plural(total, "row")} of ${plural(section("summary").value?.actors ?? 0, "actor")}</p>`}`;
};

const Fact = ({ name, children }) => html`<div class="fact"><dt>${name}</dt><dd>${children}</dd></div>`;

const Actor = ({ path }) => {
  const view = useLook("actor", { path });
  if (!view) return html`<${Empty}>Looking …<//>`;
  if (view.failed) return html`<${Empty}>This could not be shown: ${view.failed}.<//>`;
  const expect = { uid: view.uid, epoch: view.epoch, restarts: view.restarts };
  const isActor = path !== "/" && view.uid !== undefined;
  const calls = view.calls;
  return html`
    <div class="detail-head">
      <h2 title=${path}>${path}</h2>
      <${State} state=${view.state} />
      <span class="spacer"></span>
      ${isActor && may("restart") && html`<${Sure} question="Restart it?" onSure=${() => act("restart", { target: path, expect })}>Restart<//>`}
      ${isActor && may("stop") && html`<${Sure} question="Stop it?" kind="bad-quiet" onSure=${() => act("stop", { target: path, expect })}>Stop<//>`}
      <a class="tool narrow-only" href="#/agents" aria-label="Back to the tree"><${Icon} name="close" /></a>
    </div>
    ${view.state === "unknown" && html`<${Empty}>There is no actor at this path, and none is remembered.<//>`}
    ${view.tombstone && html`
      <div class="tombstone card"><b>It has ended</b> <${Age} at=${view.tombstone.at} /> ago (${view.tombstone.type}), after ${exact(view.tombstone.facts.handled)} messages and ${plural(view.tombstone.facts.restarts, "restart")}.
        ${view.tombstone.text && html`<pre>${view.tombstone.text}</pre>`}</div>`}
    ${view.uid !== undefined && html`
      <dl class="facts">
        <${Fact} name="kind">${view.kind}<//>
        <${Fact} name="mailbox">${exact(view.mailbox)}${view.options.mailbox ? ` of ${exact(view.options.mailbox)}` : ""}${view.oldest && html` <small>oldest <${Age} at=${view.oldest} /></small>`}<//>
        <${Fact} name="handled">${exact(view.handled)}<//>
        <${Fact} name="restarts">${exact(view.restarts)}<//>
        ${view.since && html`<${Fact} name="at a message for"><${Age} at=${view.since} /><//>`}
        ${view.below[0] > 0 && html`<${Fact} name="below">${plural(view.below[0], "actor")}, ${plural(view.below[1], "restart")}, ${plural(view.below[2], "failure")}<//>`}
        ${view.node && html`<${Fact} name="node">${view.node} <small>life ${view.epoch}</small><//>`}
        ${view.options.durable && html`<${Fact} name="durable">its mailbox is in the journal<//>`}
      </dl>
      ${Object.keys(view.types).length > 0 && html`<p class="waiting">In its mailbox: ${Object.entries(view.types).map(([type, n]) => html`<span class="chip">${type} × ${exact(n)}</span> `)}</p>`}`}
    ${view.streams?.map((stream) => html`
      <section class="stream card" key=${`${stream.call}-${stream.name}`}>
        <h3><i class="dot" data-state="running"></i>${stream.name} <small><a href=${link.call(stream.call)}>#${stream.call}</a></small></h3>
        <pre aria-live="off">${stream.text || "…"}<i class="caret"></i></pre>
      </section>`)}
    ${view.error && html`<section class="card bad-card"><h3>Last error</h3><pre>${view.error}</pre>${view.happened.find((row) => row.agents) && html`<p class="trail">${view.happened.find((row) => row.agents).agents.join(" ← ")}</p>`}</section>`}
    ${calls?.of > 0 && html`<section><h3>Calls <small>${calls.total === calls.of ? calls.of : `${calls.total} of ${calls.of}`}</small></h3>
      <div class="rows" onKeyDown=${arrows}>${calls.order.map((key) => html`<${CallRow} key=${key} row=${calls.rows[key]} />`)}</div></section>`}
    ${view.happened.length > 0 && html`<section><h3>What happened here</h3><div class="rows">${view.happened.map((row) => html`<${HappeningRow} key=${row.key} row=${row} />`)}</div></section>`}`;
};

export const Agents = ({ rest }) => {
  const path = rest.length && rest.some(Boolean) ? `/${rest.filter(Boolean).join("/")}` : rest.length ? "/" : null;
  useEffect(() => {
    // Whoever comes by a link sees the actor in its place.
    const above = (path ?? "/").split("/").slice(1, -1).map((_, place, names) => `/${names.slice(0, place + 1).join("/")}`);
    open.value = [...new Set([...open.value, ...above])];
  }, [path]);
  return html`
    <h1 class="visually-hidden">Agents</h1>
    <div class="split" data-chosen=${Boolean(path)}>
      <section class="card master" aria-label="Tree"><${Tree} chosen=${path} /></section>
      <section class="card detail" aria-label="Agent" key=${path}>${path ? html`<${Actor} path=${path} />` : html`<${Empty}>Choose an agent. Enter opens it, the arrows unfold.<//>`}</section>
    </div>`;
};
