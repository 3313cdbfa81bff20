// Rows and data that more than one page shows.

import { useEffect, useRef, useState } from "preact/hooks";
import { Age, State, html, link } from "./parts.js";
import { exact, money, number, seconds } from "./format.js";
import { now, useLook } from "./store.js";

/** The samples of the last ten minutes; only new ones come over the wire. */
export const useSamples = () => {
  const all = useRef([]);
  const [, again] = useState(0);
  const latest = useLook("samples", { since: 0 });
  useEffect(() => {
    if (latest?.samples) { all.current = latest.samples; again((n) => n + 1); }
  }, [latest]);
  return all.current;
};

export const CallRow = ({ row, current }) => html`
  <a class="row call" href=${link.call(row.id)} data-status=${row.status} data-tombstone=${row.tombstone} aria-current=${current ? "true" : null}>
    <${State} state=${row.status} />
    <span class="who">${row.agent}<small>#${row.id}${row.label ? ` ${row.label}` : ""}</small></span>
    <span class="said">${row.error ?? row.input ?? ""}</span>
    <span class="figures">
      ${row.calls > 1 && html`<span title="calls of agents">${exact(row.calls)} calls</span>`}
      ${row.tokens > 0 && html`<span title="tokens">${number(row.tokens)} tok</span>`}
      ${row.cost !== 0 && html`<span title="cost">${money(row.cost)}</span>`}
    </span>
    <span class="took">${row.took !== undefined ? seconds(row.took) : html`<${Age} at=${row.started} />`}</span>
  </a>`;
