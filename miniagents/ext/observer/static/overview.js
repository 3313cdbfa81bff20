// The first page: what is going on, at a glance.

import { useMemo } from "preact/hooks";
import { Empty, Spark, html } from "./parts.js";
import { bytes, clock, exact, money, number, plural } from "./format.js";
import { Chart } from "./chart.js";
import { Sky } from "./sky.js";
import { CallRow, useSamples } from "./shared.js";
import { HappeningRow } from "./lists.js";
import { section, useLook } from "./store.js";

const rates = (samples, column) => samples.slice(1).map((sample, place) => Math.max(sample[column] - samples[place][column], 0) / Math.max(sample[0] - samples[place][0], 0.5));

const Tile = ({ name, value, note, spark, tone, href }) => html`
  <a class="tile card" data-tone=${tone} href=${href}>
    <span class="tile-name">${name}</span>
    <b>${value}</b>
    <span class="tile-note">${note}</span>
    <${Spark} values=${spark} label=${`${name} over the last minutes`} tone=${tone} />
  </a>`;

export const Overview = () => {
  const summary = section("summary").value;
  const samples = useSamples();
  const calls = useLook("calls", { first: 0, count: 8 });
  const happened = useLook("happenings", { first: 0, count: 8 });
  const recent = samples.slice(-120);
  const per = useMemo(() => ({ calls: rates(recent, 3), tokens: rates(recent, 4), failures: rates(recent, 5), restarts: rates(recent, 6) }), [samples]);
  if (!summary) return html`<${Empty}>Waiting for the first frame …<//>`;
  const last = (values) => (values.length ? values[values.length - 1] : 0);
  const recorder = summary.recorder;
  return html`
    <h1 class="visually-hidden">Overview</h1>
    <div class="overview">
      <div class="tiles">
        <${Tile} name="Actors" value=${exact(summary.actors)} note=${`${exact(summary.restarts)} restarts`} spark=${recent.map((s) => s[1])} tone="accent" href="#/agents" />
        <${Tile} name="Under way" value=${exact(summary.open)} note=${`${exact(summary.calls)} calls so far`} spark=${recent.map((s) => s[2])} tone="violet" href="#/interactions" />
        <${Tile} name="Tokens" value=${number(summary.tokens)} note=${`${number(last(per.tokens))} a second · ${money(summary.cost)}`} spark=${per.tokens} tone="blue" href="#/interactions" />
        <${Tile} name="Failures" value=${exact(summary.failures + summary.crashes)} note=${`${plural(summary.failures, "failed call")} · ${plural(summary.crashes, "crash", "crashes")} · ${plural(summary.letters, "dead letter")}`} spark=${per.failures} tone=${summary.failures + summary.crashes ? "bad" : "accent"} href="#/timeline" />
      </div>
      <section class="card sky-card">
        <h2>The tree, live</h2>
        <${Sky} />
      </section>
      <section class="card">
        <h2>Activity <small>calls and failures a second, ten minutes</small></h2>
        <${Chart} samples=${samples} columns=${[[3, "calls/s", "--violet"], [5, "failures/s", "--bad"]]} />
      </section>
      <section class="card">
        <h2><a href="#/interactions">Interactions</a></h2>
        <div class="rows">${calls?.order.length ? calls.order.map((key) => html`<${CallRow} key=${key} row=${calls.rows[key]} />`) : html`<${Empty}>No agent was called yet.<//>`}</div>
      </section>
      <section class="card">
        <h2><a href="#/timeline">What happened</a></h2>
        <div class="rows">${happened?.order.length ? happened.order.map((key) => html`<${HappeningRow} key=${key} row=${happened.rows[key]} />`) : html`<${Empty}>No failure, no restart. Good.<//>`}</div>
      </section>
      <p class="recorder">Flight recorder: ${bytes(recorder.bytes)} of ${bytes(recorder.budget)}, ${plural(recorder.entries, "entry", "entries")}${recorder.oldest ? ` since ${clock(recorder.oldest)}` : ""}${recorder.dropped ? html`, <span class="warn">${exact(recorder.dropped)} older ones dropped</span>` : ""}.</p>
    </div>`;
};
