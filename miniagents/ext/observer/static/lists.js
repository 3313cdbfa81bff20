// The pages that are lists: what happened, limits and budgets, jobs and approvals, dead letters, nodes.

import { useState } from "preact/hooks";
import { Age, Empty, Fresh, Path, Reach, Spark, Sure, Virtual, arrows, html, link, useHold } from "./parts.js";
import { clock, exact, money, number, plural, seconds } from "./format.js";
import { act, may, section, useLook } from "./store.js";

const NAMES = { crash: "crash", restart: "restart", escalation: "gave up", dead_letter: "dead letter", hang: "hang", deadlock: "deadlock", slowed: "slowed", node_up: "node up", node_lost: "node lost", ended: "ended", action: "action" };

const detail = (row) => {
  if (row.ring) return row.ring.join(" → ");
  if (row.kind === "dead_letter") return row.facts?.reason ?? "";
  if (row.kind === "slowed") return `to ${Math.round((row.facts?.share ?? 0) * 100)} % of the rate`;
  return `${row.type && row.kind !== "restart" ? `${row.type}: ` : ""}${row.text ?? ""}`;
};

export const HappeningRow = ({ row }) => html`
  <a class="row happening" href=${row.call ? link.call(row.call) : row.kind === "dead_letter" ? "#/letters" : link.actor(row.path)} data-kind=${row.kind} data-tombstone=${row.tombstone}>
    <em data-kind=${row.kind}>${NAMES[row.kind]}</em>
    <span class="who">${row.path}</span>
    <span class="said" title=${row.agents ? row.agents.join(" ← ") : null}>${detail(row)}${row.by ? html` <small>by ${row.by}</small>` : ""}</span>
    <span class="took" title=${clock(row.at)}><${Age} at=${row.at} /></span>
  </a>`;

const Ring = ({ row }) => html`
  <section class="card ring-card">
    <h3>A deadlock was broken <small><${Age} at=${row.at} /> ago</small></h3>
    <ol class="ring">${row.ring.map((path, place) => html`<li key=${place}><${Path} path=${path} /></li>`)}<li aria-label="back to the first">↺</li></ol>
    ${row.text && html`<p class="quiet">${row.text}</p>`}
  </section>`;

export const Timeline = () => {
  const [kinds, setKinds] = useState([]);
  const [win, setWin] = useState([0, 40]);
  const view = useLook("happenings", { first: win[0], count: win[1], kinds });
  const hold = useHold(view);
  const toggle = (kind) => setKinds(kinds.includes(kind) ? kinds.filter((other) => other !== kind) : [...kinds, kind]);
  const rings = hold.order.map((key) => hold.rows[key]).filter((row) => row?.ring);
  return html`
    <h1>Timeline</h1>
    <div class="card spark-card"><${Spark} values=${view?.spark} label="what happened, in the last ten minutes" tone="bad" /><small>the last ten minutes</small></div>
    ${rings.slice(0, 1).map((row) => html`<${Ring} key=${row.key} row=${row} />`)}
    <div class="filter" role="group" aria-label="Kinds">${Object.entries(NAMES).filter(([kind]) => kind !== "ended").map(([kind, name]) => html`<button aria-pressed=${String(kinds.includes(kind))} onClick=${() => toggle(kind)}>${name}</button>`)}</div>
    <section class="card tall held" ...${hold.on} onKeyDown=${arrows}>
      <${Virtual} total=${view?.total ?? 0} height=${34} first=${view?.first ?? 0} order=${hold.order} rows=${hold.rows} label="What happened"
        onWindow=${(begin, count) => { if (begin !== win[0] || count !== win[1]) setWin([begin, count]); }} extra=${{ tabindex: -1 }} row=${(row) => html`<${HappeningRow} row=${row} />`} />
      <${Fresh} hold=${hold} />
      ${view && !view.total && html`<${Empty}>${kinds.length ? "Nothing of these kinds." : "No failure, no restart. Good."}<//>`}
    </section>
    ${view && html`<${Reach} shown=${view.total} of=${view.of} oldest=${view.oldest} dropped=${view.dropped} word="events" />`}`;
};

const Meter = ({ value, of, label, tone = "accent" }) => {
  const share = of ? Math.min(value / of, 1) : 0;
  return html`<div class="meter" data-tone=${share > 0.9 ? "bad" : share > 0.7 ? "warn" : tone} role="meter" aria-valuenow=${value} aria-valuemin="0" aria-valuemax=${of ?? 0} aria-label=${label}><i style=${{ width: `${100 * share}%` }}></i></div>`;
};

export const Limits = () => {
  const view = useLook("allowances", {});
  return html`
    <h1>Limits and budgets</h1>
    ${view && !view.limits.length && !view.budgets.length && html`<${Empty}>No rate limit was used, and no budget is set.<//>`}
    <div class="cards">
      ${view?.limits.map((limit, place) => html`
        <section class="card" key=${`l${place}`}><h2>Rate limit ${limit.caller ? html`<small>of ${limit.caller}</small>` : limit.is_share ? html`<small>without a caller</small>` : ""}</h2>
          <dl class="facts">
            <div class="fact"><dt>requests a minute</dt><dd>${limit.requests_per_minute ? number(limit.requests_per_minute) : "no limit"}</dd></div>
            <div class="fact"><dt>tokens a minute</dt><dd>${limit.tokens_per_minute ? number(limit.tokens_per_minute) : "no limit"}</dd></div>
            <div class="fact"><dt>at once</dt><dd>${exact(limit.in_flight)}${limit.concurrent ? ` of ${exact(limit.concurrent)}` : ""}</dd></div>
            <div class="fact" data-hot=${limit.waiting > 0}><dt>wait for it</dt><dd>${exact(limit.waiting)}</dd></div>
          </dl>
          ${limit.concurrent && html`<${Meter} value=${limit.in_flight} of=${limit.concurrent} label="requests at once" />`}
          ${limit.share < 1 && html`<p class="warn">Slowed by 429s to ${Math.round(limit.share * 100)} % of its rate.</p>`}
          ${Object.keys(limit.waiters).length > 0 && html`<p class="waiting">${Object.entries(limit.waiters).map(([who, n]) => html`<span class="chip">${who} ${exact(n)}</span> `)}</p>`}
        </section>`)}
      ${view?.budgets.map((budget, place) => html`
        <section class="card" key=${`b${place}`}><h2>Budget <small>${budget.caller ? `of ${budget.caller}` : budget.under ?? (budget.is_share ? "without a caller" : "for the whole run")}${budget.window ? `, each ${seconds(budget.window)}` : ""}</small></h2>
          ${budget.tokens !== null && html`<p>${exact(budget.spent_tokens)} of ${exact(budget.tokens)} tokens</p><${Meter} value=${budget.spent_tokens} of=${budget.tokens} label="tokens spent" />`}
          ${budget.usd !== null && html`<p>${money(budget.spent_usd)} of ${money(budget.usd)}</p><${Meter} value=${budget.spent_usd} of=${budget.usd} label="dollars spent" />`}
        </section>`)}
    </div>`;
};

const Answer = ({ wait }) => {
  const [text, setText] = useState("");
  const answer = (value) => act("answer", { target: wait.id, answer: value, expect: { job: wait.job, agent: wait.agent } });
  const json = (value) => { try { return wait.type && value.trim().startsWith("{") ? JSON.parse(value) : value; } catch { return value; } };
  return html`
    <form class="answer" onSubmit=${async (event) => { event.preventDefault(); if (await answer(json(text))) setText(""); }}>
      <button type="button" class="button good" onClick=${() => answer("yes")}>Yes</button>
      <button type="button" class="button bad-quiet" onClick=${() => answer("no")}>No</button>
      <input aria-label=${`Answer for ${wait.name}`} placeholder="or an answer in words" value=${text} onInput=${(event) => setText(event.target.value)} />
      <button class="button" disabled=${!text}>Answer</button>
    </form>`;
};

export const Jobs = () => {
  const view = useLook("waits", {});
  return html`
    <h1>Jobs and approvals</h1>
    ${view?.error && html`<p class="banner bad" role="alert">${view.error}</p>`}
    <h2>What waits for an answer <small>${view?.pending.length ?? ""}</small></h2>
    ${view && !view.pending.length && html`<${Empty}>Nothing waits for you.<//>`}
    <div class="cards">${view?.pending.map((wait) => html`
      <section class="card wait" key=${`${wait.job}${wait.id}`}>
        <h3>${wait.name} <small>${wait.job || "no job"} · since <${Age} at=${wait.since} />${wait.owner ? ` · for ${wait.owner}` : ""}</small></h3>
        <p><${Path} path=${wait.agent} />${wait.type ? html` wants <code>${wait.type}</code>` : ""}</p>
        ${wait.prompt && html`<pre>${wait.prompt}</pre>`}
        ${may("answer") ? html`<${Answer} wait=${wait} />` : html`<p class="quiet">Answers are turned off here.</p>`}
      </section>`)}</div>
    <h2>Jobs that have not ended <small>${view?.jobs.length ?? ""}</small></h2>
    ${view && !view.jobs.length && html`<${Empty}>${section("summary").value?.has.journal ? "No job is under way." : "This system has no journal, and so no jobs."}<//>`}
    ${view?.jobs.map((job) => html`
      <section class="card job" key=${job.name}><b>${job.name}</b> <span class="chip" data-state=${job.state}>${job.state}</span> <span class="quiet">${job.agent} · since <${Age} at=${job.started} /></span><span class="spacer"></span>
        ${may("cancel_job") && html`<${Sure} question=${`Cancel ${job.name}?`} kind="bad-quiet" onSure=${() => act("cancel_job", { target: job.name })}>Cancel<//>`}</section>`)}`;
};

export const Letters = () => {
  const [win, setWin] = useState([0, 30]);
  const [chosen, setChosen] = useState([]);
  const view = useLook("letters", { first: win[0], count: win[1] });
  const hold = useHold(view);
  const all = hold.order.map((key) => hold.rows[key]).filter((row) => row && !row.tombstone);
  const ids = chosen.filter((id) => all.some((row) => row.id === id));
  const send = async (kind, targets) => { if (await act(kind, { targets })) setChosen([]); };
  return html`
    <h1>Dead letters <small>${view ? `${exact(view.total)} kept` : ""}</small></h1>
    ${view && html`<p class="waiting">${Object.entries(view.counts).map(([reason, n]) => html`<span class="chip">${reason.replaceAll("_", " ")} ${exact(n)}</span> `)}</p>`}
    ${ids.length > 0 && html`<div class="many" role="group" aria-label="Chosen dead letters"><b>${ids.length} chosen</b>
      ${may("resend") && html`<${Sure} question=${`Send ${ids.length} again?`} onSure=${() => send("resend", ids)}>Send again<//>`}
      ${may("drop") && html`<${Sure} question=${`Drop ${ids.length} for good?`} kind="bad-quiet" onSure=${() => send("drop", ids)}>Drop<//>`}</div>`}
    <section class="card tall held" ...${hold.on}>
      <${Virtual} total=${view?.total ?? 0} height=${54} first=${view?.first ?? 0} order=${hold.order} rows=${hold.rows} label="Dead letters" extra=${{ tabindex: -1 }}
        onWindow=${(begin, count) => { if (begin !== win[0] || count !== win[1]) setWin([begin, count]); }}
        row=${(row) => html`
          <div class="letter" data-tombstone=${row.tombstone}>
            ${(may("resend") || may("drop")) && html`<input type="checkbox" aria-label=${`Choose dead letter ${row.id}`} checked=${chosen.includes(row.id)} onChange=${() => setChosen(chosen.includes(row.id) ? chosen.filter((id) => id !== row.id) : [...chosen, row.id])} />`}
            <span class="letter-what"><b>${row.kind}</b> to <${Path} path=${row.to} />${row.alive ? html` <small class="chip">alive</small>` : ""}<br /><small>${row.reason.replaceAll("_", " ")} · <${Age} at=${row.at} /> ago${row.from ? ` · from ${row.from}` : ""}${row.text ? ` · ${row.text}` : ""}</small></span>
            ${!row.tombstone && may("resend") && html`<button class="button" disabled=${!row.alive} title=${row.alive ? "" : "its receiver has ended"} onClick=${() => send("resend", [row.id])}>Send again</button>`}
            ${!row.tombstone && may("drop") && html`<button class="button bad-quiet" onClick=${() => send("drop", [row.id])}>Drop</button>`}
            ${row.tombstone && html`<span class="quiet">not kept any more</span>`}
          </div>`} />
      <${Fresh} hold=${hold} />
      ${view && !view.total && html`<${Empty}>Every message has reached somebody.<//>`}
    </section>`;
};

export const Nodes = () => {
  const view = useLook("nodes", {});
  return html`
    <h1>Nodes</h1>
    ${view && !view.nodes.length && html`<${Empty}>This system runs in one process.<//>`}
    <div class="cards">${view?.nodes.map((node) => html`
      <section class="card" key=${node.name}><h2>${node.name || "driver"} <small>life ${node.epoch} · ${node.state}</small></h2>
        <dl class="facts">
          <div class="fact"><dt>actors</dt><dd>${exact(node.actors)}</dd></div>
          <div class="fact" data-hot=${node.lag > 0.1}><dt>its loop is late</dt><dd>${seconds(node.lag)}</dd></div>
          <div class="fact"><dt>heard of</dt><dd>${seconds(node.silence)} ago</dd></div>
          ${node.busy && html`<div class="fact" data-hot="true"><dt>holds the loop</dt><dd><${Path} path=${node.busy} /></dd></div>`}
          ${node.unreached.length > 0 && html`<div class="fact" data-hot="true"><dt>does not reach</dt><dd>${node.unreached.join(", ")}</dd></div>`}
        </dl></section>`)}</div>`;
};
