// Interactions: the list of them, and one as a waterfall.

import { useEffect, useRef, useState } from "preact/hooks";
import { Age, Empty, Fresh, Icon, Path, Reach, Stack, State, Sure, Virtual, arrows, html, link, useHold } from "./parts.js";
import { exact, money, number, plural, seconds } from "./format.js";
import { act, frameAt, may, now, useLook } from "./store.js";
import { CallRow } from "./shared.js";

const CAUSES = { mailbox: "waits in a mailbox", limit: "waits for a limit", first_token: "waits for the first token", streaming: "streams", tools: "tools", answer: "waits for an answer", own: "own code" };

const Filter = ({ value, onChange, options }) => html`
  <div class="filter" role="group" aria-label="Filter">${options.map(([id, name]) => html`<button aria-pressed=${String(value === id)} onClick=${() => onChange(id)}>${name}</button>`)}</div>`;

const List = ({ chosen }) => {
  const [only, setOnly] = useState("");
  const [win, setWin] = useState([0, 40]);
  const view = useLook("calls", { first: win[0], count: win[1], only });
  const hold = useHold(view);
  return html`
    <${Filter} value=${only} onChange=${setOnly} options=${[["", "all"], ["open", "under way"], ["failed", "failed"]]} />
    <div class="held" ...${hold.on} onKeyDown=${arrows}>
      <${Virtual} total=${view?.total ?? 0} height=${38} first=${view?.first ?? 0} order=${hold.order} rows=${hold.rows} label="Interactions"
        onWindow=${(begin, count) => { if (begin !== win[0] || count !== win[1]) setWin([begin, count]); }}
        extra=${{ tabindex: -1 }} row=${(row) => html`<${CallRow} row=${row} current=${row.id === chosen} />`} />
      <${Fresh} hold=${hold} />
      ${view && !view.total && html`<${Empty}>${only ? "None of that kind." : "No agent was called yet."}<//>`}
    </div>
    ${view && html`<${Reach} shown=${view.total} of=${view.of} oldest=${view.oldest} dropped=${view.dropped} word="interactions" />`}`;
};

const percent = (from, to, at) => `${(100 * (at - from)) / (to - from || 1)}%`;

const Bar = ({ row, from, to }) => {
  const end = row.to ?? now();
  const parts = [];
  if (row.step === "model") {
    const first = row.first ?? end;
    parts.push(["first_token", row.from, first], ["streaming", first, end]);
  } else if (row.step) parts.push([row.step === "tool" ? "tools" : "answer", row.from, end]);
  else {
    const begun = row.begun ?? (row.status === "waiting" ? end : row.from);
    parts.push(["mailbox", row.from, begun], ["limit", begun, row.asked ?? begun], ["call", row.asked ?? begun, end]);
    if (row.to && row.status !== "cancelled") parts.push(["flow", row.to, row.over ?? now()]); // its replies still come
  }
  return html`
    <span class="lane" aria-hidden="true">
      ${parts.filter(([, a, b]) => b > from && a < to && (b > a)).map(([cause, a, b]) => html`
        <i class="bar" data-cause=${cause} data-status=${row.status} style=${{ left: percent(from, to, Math.max(a, from)), width: `max(2px, ${(100 * (Math.min(b, to) - Math.max(a, from))) / (to - from || 1)}%)` }}></i>`)}
    </span>`;
};

const Overall = ({ head, bins, view, setZoom }) => {
  const box = useRef(null);
  const [drag, setDrag] = useState(null);
  const [begin, end] = head.span;
  const top = Math.max(...bins, 1);
  const at = (event) => { const r = box.current.getBoundingClientRect(); return Math.min(Math.max((event.clientX - r.left) / r.width, 0), 1); };
  const [from, to] = view;
  const band = drag ?? [(from - begin) / (end - begin || 1), (to - begin) / (end - begin || 1)];
  return html`
    <div class="overall" ref=${box} role="img" aria-label="calls under way over the whole time"
      onPointerDown=${(event) => { box.current.setPointerCapture(event.pointerId); const x = at(event); setDrag([x, x]); }}
      onPointerMove=${(event) => { if (drag) setDrag([drag[0], at(event)]); }}
      onPointerUp=${() => { const [a, b] = [Math.min(...drag), Math.max(...drag)]; setDrag(null); setZoom(b - a > 0.005 ? [begin + a * (end - begin), begin + b * (end - begin)] : null); }}>
      <svg viewBox="0 0 ${bins.length} 24" preserveAspectRatio="none">${bins.map((n, place) => html`<rect x=${place} y=${24 - (22 * n) / top} width="0.82" height=${(22 * n) / top} />`)}</svg>
      <i class="band" style=${{ left: `${100 * Math.max(Math.min(...band), 0)}%`, width: `${100 * Math.min(Math.abs(band[1] - band[0]), 1)}%` }}></i>
    </div>`;
};

const Text = ({ name, text, id, live }) => {
  const [earlier, setEarlier] = useState("");
  const [from, setFrom] = useState(null);
  const box = useRef(null);
  useEffect(() => { if (live && box.current) box.current.scrollTop = box.current.scrollHeight; }, [text.size]);
  if (text.text === undefined) return html`<section class="text"><h3>${name} <small>${plural(text.size, "character")}, not shown at this level</small></h3></section>`;
  const begin = from ?? text.from;
  const more = async () => {
    const start = Math.max(begin - 4000, 0);
    const answer = await fetch(`text?id=${id}&name=${name}&from=${start}`);
    if (!answer.ok) return;
    const said = await answer.json();
    setEarlier(said.text.slice(0, begin - start) + earlier);
    setFrom(start);
  };
  return html`
    <section class="text"><h3>${name} <small>${plural(text.size, "character")}${begin > 0 ? html` · <button class="inline" onClick=${more}>show what comes before</button>` : ""}</small></h3>
      <pre ref=${box} tabindex="0" aria-label=${name}>${earlier}${text.text}${live && html`<i class="caret"></i>`}</pre></section>`;
};

const Selected = ({ call, root }) => html`
  <div class="selected">
    <div class="detail-head"><h3>${call.agent} <small>#${call.id}</small></h3><${State} state=${call.status} />${call.attempts && html`<span class="chip">attempt ${call.attempts + 1}</span>`}<span class="spacer"></span>
      ${call.id !== root && !call.over && may("cancel") && html`<${Sure} question="Cancel this call, and all below it?" kind="bad-quiet" onSure=${() => act("cancel", { target: call.id, expect: { path: call.path, attempts: call.attempts ?? 0 } })}>Cancel<//>`}
      <${Path} path=${call.path} /></div>
    ${call.trace.length > 1 && html`<p class="trail">${call.trace.join(" ← ")}</p>`}
    ${call.error && html`<pre class="bad-text">${call.error_type ? `${call.error_type}: ` : ""}${call.error}</pre>`}
    ${call.errors.map((error, place) => html`<pre class="bad-text" key=${place}>attempt ${place + 1}: ${error ?? "failed"}</pre>`)}
    ${Object.entries(call.texts).map(([name, text]) => html`<${Text} key=${`${call.id}${name}`} id=${call.id} name=${name} text=${text} live=${(name === "stream" && call.streaming) || (name === "output" && call.status === "running")} />`)}
    ${!Object.keys(call.texts).length && call.status !== "running" && html`<${Empty}>No text of this call is kept.<//>`}
  </div>`;

const Waterfall = ({ id }) => {
  const [win, setWin] = useState([0, 40]);
  const [folded, setFolded] = useState([]);
  const [selected, setSelected] = useState(id);
  const [zoom, setZoom] = useState(null);
  const [at, setAt] = useState(0);
  const view = useLook("call", { id, first: win[0], count: win[1], folded, selected });
  frameAt.value;
  if (!view) return html`<${Empty}>Looking …<//>`;
  if (view.missing || view.failed) return html`<${Empty}>${view.failed ? `This could not be shown: ${view.failed}.` : `Interaction ${id} is not kept any more: the recorder had to make room for younger ones, or it was before its start.`}<//>`;
  const head = view.head;
  const live = head.open > 0;
  const span = live ? [head.span[0], Math.max(now(), head.span[1])] : head.span;
  const [from, to] = zoom ?? span;
  const call = view.selected;
  const causes = Object.entries(view.causes);
  const total = causes.reduce((sum, [, value]) => sum + value, 0) || 1;
  const zoomBy = (factor) => {
    const middle = (from + to) / 2;
    const half = ((to - from) / 2) * factor;
    setZoom(half * 2 >= span[1] - span[0] ? null : [Math.max(middle - half, span[0]), Math.min(middle + half, span[1])]);
  };
  const keys = (event) => {
    const row = view.rows[view.order[at - view.first]];
    const step = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1, PageDown: 15, PageUp: -15 }[event.key];
    if (step) { setAt(Math.min(Math.max(at + step, 0), view.total - 1)); }
    else if (event.key === "Enter" && row) setSelected(row.id);
    else if (event.key === "+" || event.key === "=") zoomBy(0.5);
    else if (event.key === "-") zoomBy(2);
    else if (event.key === "ArrowLeft" && row && !row.step) setFolded([...new Set([...folded, row.id])]);
    else if (event.key === "ArrowRight" && row && !row.step) setFolded(folded.filter((other) => other !== row.id));
    else return;
    event.preventDefault();
  };
  return html`
    <div class="detail-head">
      <h2>${head.agent} <small>#${view.id}${head.label ? ` ${head.label}` : ""}</small></h2>
      <${State} state=${head.status} />
      <span class="spacer"></span>
      ${live && may("cancel") && html`<${Sure} question=${`Cancel it, and the ${plural(Math.max(head.open - 1, 0), "call")} below it?`} kind="bad-quiet" onSure=${() => act("cancel", { target: view.id, expect: { path: head.path, attempts: head.attempts } })}>Cancel<//>`}
      <a class="tool" href="#/interactions" aria-label="Back to the list"><${Icon} name="close" /></a>
    </div>
    <dl class="facts">
      <div class="fact"><dt>${live ? "since" : "took"}</dt><dd>${live ? html`<${Age} at=${head.started} />` : seconds(head.took)}</dd></div>
      <div class="fact"><dt>calls</dt><dd>${exact(head.calls)}${head.open ? html` <small>${exact(head.open)} open</small>` : ""}</dd></div>
      <div class="fact"><dt>tokens</dt><dd>${exact(head.tokens)}</dd></div>
      <div class="fact"><dt>cost</dt><dd>${money(head.cost)}</dd></div>
      ${head.failures > 0 && html`<div class="fact"><dt>failures</dt><dd class="bad-text">${exact(head.failures)}</dd></div>`}
      ${head.dropped > 0 && html`<div class="fact"><dt>dropped</dt><dd class="warn">${exact(head.dropped)} calls</dd></div>`}
    </dl>
    <section class="why" aria-label="Why is it slow">
      <h3>Why is it slow <small>along the critical path</small></h3>
      <${Stack} parts=${causes} />
      <ul class="causes">${causes.filter(([, value]) => value > 0.0005 * total).sort((a, b) => b[1] - a[1]).map(([name, value]) => html`<li><i data-cause=${name} aria-hidden="true"></i>${CAUSES[name]} <b>${seconds(value)}</b> <small>${Math.round((100 * value) / total)} %</small></li>`)}</ul>
      <p class="blame">${view.agents.slice(0, 4).map(([alias, value]) => html`<span>${alias} <b>${seconds(value)}</b></span>`)}</p>
    </section>
    <section class="waterfall" aria-label="Waterfall">
      <${Overall} head=${{ span }} bins=${view.bins} view=${[from, to]} setZoom=${setZoom} />
      <p class="scale"><span>${seconds(from - span[0])}</span><span>${zoom && html`<button class="inline" onClick=${() => setZoom(null)}>whole time</button>`}</span><span>${seconds(to - span[0])}</span></p>
      <${Virtual} total=${view.total} height=${26} first=${view.first} order=${view.order} rows=${view.rows} label="Calls of the interaction" role="tree" focus=${at}
        onWindow=${(begin, count) => { if (begin !== win[0] || count !== win[1]) setWin([begin, count]); }}
        extra=${{ onKeyDown: keys, "aria-activedescendant": `span-${at}` }}
        row=${(row, place) => html`
          <div class="span" id=${`span-${place}`} role="treeitem" aria-level=${row.depth + 1} aria-selected=${String(call.id === row.id && !row.step)} data-focus=${at === place} data-status=${row.status}
            onClick=${() => { setAt(place); setSelected(row.id); }}>
            <span class="span-name" style=${{ paddingLeft: `${Math.min(row.depth, 12) * 12}px` }}>
              ${row.step ? html`<em data-step=${row.step}>${row.step}</em>` : html`<i class="dot" data-state=${row.status}></i>`}<span>${row.agent}</span>${row.label && html`<small>${row.label}</small>`}<span class="visually-hidden">${row.status}</span>
              ${row.cached && html`<small>cached</small>`}${row.tokens > 0 && html`<small>${number(row.tokens)}</small>`}
            </span>
            <${Bar} row=${row} from=${from} to=${to} />
            <span class="span-took">${seconds((row.to ?? now()) - row.from)}</span>
          </div>`} />
    </section>
    <${Selected} call=${call} root=${view.id} />`;
};

export const Interactions = ({ rest }) => {
  const id = rest[0] ? Number(rest[0]) : null;
  return html`
    <h1 class="visually-hidden">Interactions</h1>
    <div class="split calls-split" data-chosen=${Boolean(id)}>
      <section class="card master" aria-label="List"><${List} chosen=${id} /></section>
      <section class="card detail" aria-label="Interaction" key=${id}>${id ? html`<${Waterfall} id=${id} />` : html`<${Empty}>Choose an interaction to see its waterfall, and why it is slow.<//>`}</section>
    </div>`;
};
