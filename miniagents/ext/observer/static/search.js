// Search over agents, failures and texts, as a dialog.

import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { Age, Empty, State, arrows, html, link } from "./parts.js";
import { clock, exact } from "./format.js";

export const searching = signal(false);

const Marked = ({ text, wanted }) => {
  const place = text.toLowerCase().indexOf(wanted.toLowerCase());
  if (place < 0) return text;
  return html`${text.slice(0, place)}<mark>${text.slice(place, place + wanted.length)}</mark>${text.slice(place + wanted.length)}`;
};

export const Search = () => {
  const [wanted, setWanted] = useState("");
  const [found, setFound] = useState(null);
  const [state, setState] = useState("");
  const box = useRef(null);
  const before = useRef(document.activeElement);
  useEffect(() => { box.current.focus(); return () => before.current?.focus?.(); }, []);
  useEffect(() => {
    if (!wanted.trim()) { setFound(null); setState(""); return undefined; }
    const stop = new AbortController();
    const timer = setTimeout(async () => {
      setState("searching …");
      try {
        const answer = await fetch(`search?for=${encodeURIComponent(wanted)}`, { signal: stop.signal });
        if (!answer.ok) throw new Error(answer.statusText);
        setFound(await answer.json());
        setState("");
      } catch (error) {
        if (error.name !== "AbortError") { setFound(null); setState("The search has failed. The process may be gone."); }
      }
    }, 150);
    return () => { clearTimeout(timer); stop.abort(); };
  }, [wanted]);
  const close = () => { searching.value = false; };
  const part = (name, results, row) => results.found > 0 && html`
    <section><h3>${name} <small>${results.items.length < results.found ? `the first ${results.items.length} of ${exact(results.found)} found, ` : `${exact(results.found)} `}of ${exact(results.of)}</small></h3>
      ${results.items.map(row)}</section>`;
  const nothing = found && !found.actors.found && !found.happenings.found && !found.calls.found;
  return html`
    <div class="veil" onClick=${(event) => { if (event.target === event.currentTarget) close(); }}>
      <section class="search card" role="dialog" aria-modal="true" aria-label="Search" onKeyDown=${(event) => { if (event.key === "ArrowDown" || event.key === "ArrowUp") arrows(event); }}>
        <input ref=${box} type="search" placeholder="agents, errors, texts" aria-label="Search for" value=${wanted} onInput=${(event) => setWanted(event.target.value)} />
        <div class="found" aria-live="polite">
          ${state && html`<p class="quiet">${state}</p>`}
          ${nothing && html`<${Empty}>Nothing found among ${exact(found.actors.of)} actors, ${exact(found.happenings.of)} events and ${exact(found.calls.of)} calls.<//>`}
          ${found && html`
            ${part("Agents", found.actors, (item) => html`<a class="row" href=${link.actor(item.path)} onClick=${close}><${State} state=${item.state} /><span class="said"><${Marked} text=${item.text} wanted=${wanted} /></span></a>`)}
            ${part("What happened", found.happenings, (item) => html`<a class="row" href=${item.call ? link.call(item.call) : link.actor(item.path)} onClick=${close}><em data-kind=${item.kind}>${item.kind.replaceAll("_", " ")}</em><span class="said">${item.path} · <${Marked} text=${item.text} wanted=${wanted} /></span><span class="took"><${Age} at=${item.at} /></span></a>`)}
            ${part("Calls", found.calls, (item) => html`<a class="row" href=${link.call(item.id)} onClick=${close}><span class="who">${item.path}<small>#${item.id}</small></span><span class="said"><${Marked} text=${item.text} wanted=${wanted} /></span></a>`)}
            <p class="reach">${found.oldest ? `kept since ${clock(found.oldest)}` : "nothing is kept yet"}${found.dropped ? html`, <span class="warn">${exact(found.dropped)} older ones dropped</span>` : ""}</p>`}
        </div>
      </section>
    </div>`;
};
