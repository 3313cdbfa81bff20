// The frame around all pages: header, navigation, search, keys, and which page the address names.

import { render } from "preact";
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Age, Icon, html } from "./parts.js";
import { exact, seconds } from "./format.js";
import { connect, frameAt, hello, notices, paused, reconnect, section, setPaused, status, texts, useLook } from "./store.js";
import { Overview } from "./overview.js";
import { Agents } from "./agents.js";
import { Interactions } from "./interactions.js";
import { Jobs, Letters, Limits, Nodes, Timeline } from "./lists.js";
import { Playback } from "./playback.js";
import { Search, searching } from "./search.js";

export const route = signal(read());
const helping = signal(false);
const theme = signal(document.documentElement.dataset.theme);

function read() {
  const [page = "", ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  return { page: page || "overview", rest: rest.map(decodeURIComponent) };
}
window.addEventListener("hashchange", () => { route.value = read(); });

const pages = [
  ["overview", "Overview", Overview],
  ["agents", "Agents", Agents],
  ["interactions", "Interactions", Interactions],
  ["timeline", "Timeline", Timeline],
  ["limits", "Limits", Limits],
  ["jobs", "Jobs", Jobs],
  ["letters", "Dead letters", Letters],
  ["nodes", "Nodes", Nodes],
];

const tick = signal(0);
setInterval(() => { if (!document.hidden) tick.value += 1; }, 250);

/** How old the data on the page are, always in sight. */
const Freshness = () => {
  tick.value;
  const age = frameAt.value ? (performance.now() - frameAt.value) / 1000 : null;
  const word = paused.value ? "paused" : status.value === "live" ? (age !== null && age > 3 ? "slow" : "live") : status.value === "denied" ? "no access" : status.value === "lost" ? "lost, trying again" : "connecting";
  const state = paused.value ? "paused" : status.value === "live" ? (age !== null && age > 3 ? "slow" : "live") : "lost";
  return html`
    <span class="fresh-dot" data-state=${state} title="the age of the data on this page">
      <i aria-hidden="true"></i><b>${word}</b>${age !== null && html`<span class="age" aria-label="age of the data">${age < 1.5 && state === "live" ? "now" : `${seconds(age)} old`}</span>`}
    </span>`;
};

const Nav = () => {
  const summary = section("summary").value;
  const here = route.value.page;
  const badge = { agents: null, letters: summary?.kept_letters || null, interactions: summary?.open || null };
  return html`
    <nav aria-label="Pages">
      ${pages.filter(([id]) => id !== "nodes" || summary?.has.cluster).map(([id, name]) => html`
        <a key=${id} href=${`#/${id}`} aria-current=${here === id ? "page" : null}>
          <${Icon} name=${id} /><span>${name.split(" ").map((word, place, words) => (place < words.length - 1 ? html`<i class="wide-only">${word} </i>` : word))}</span>${badge[id] && html`<em>${badge[id] > 999 ? "999+" : badge[id]}</em>`}
        </a>`)}
    </nav>`;
};

const Header = () => {
  const about = hello.value;
  const summary = section("summary").value;
  return html`
    <header>
      <a class="brand" href="#/overview">
        <img src="static/icon.svg" alt="" width="26" height="26" />
        <span class="brand-name">${about?.system ?? "MiniAgents"}</span><span class="visually-hidden">, overview</span>
      </a>
      <span class="about">${about && (about.recording ? `${seconds(about.recording.ends - about.recording.begins)} long` : html`pid ${about.pid} · up <${Age} at=${about.began} />`)}${summary && html` · ${exact(summary.actors)} actors`}</span>
      ${about?.recording ? html`<${Playback} />` : html`<${Freshness} />`}
      <span class="spacer"></span>
      ${about && !about.recording && !about.actions.length && html`<span class="chip" title="No action is allowed here">read only</span>`}
      ${about && !about.recording && html`<label class="chip picks"><span class="visually-hidden">Texts that are shown</span>
        <select value=${texts.value} onChange=${(event) => { texts.value = event.target.value; reconnect(); }}>
          ${["full", "redacted", "facts"].map((level) => html`<option value=${level}>${{ full: "full text", redacted: "redacted", facts: "facts only" }[level]}</option>`)}
        </select></label>`}
      <button class="tool" onClick=${() => { searching.value = true; }} title="Search  /" aria-label="Search"><${Icon} name="search" /></button>
      ${!about?.recording && html`<button class="tool" onClick=${() => setPaused(!paused.value)} title="Pause  p" aria-label=${paused.value ? "Go on" : "Pause"} aria-pressed=${paused.value}><${Icon} name=${paused.value ? "play" : "pause"} /></button>`}
      <button class="tool" onClick=${turn} title="Light or dark  t" aria-label="Light or dark"><${Icon} name=${theme.value === "dark" ? "sun" : "moon"} /></button>
      <button class="tool wide-only" onClick=${() => { helping.value = true; }} title="Keys  ?" aria-label="Keys"><${Icon} name="help" /></button>
    </header>`;
};

const turn = () => {
  theme.value = theme.value === "dark" ? "light" : "dark";
  window.observerTheme(theme.value);
  window.dispatchEvent(new Event("themechange"));
};

const keys = [["/", "search"], ["p", "pause, go on"], ["1 … 8", "the pages"], ["↑ ↓", "from row to row"], ["← →", "fold, unfold"], ["Enter", "open"], ["+ −", "zoom a waterfall"], ["t", "light or dark"], ["Esc", "close"]];

const Help = () => {
  useEffect(() => { document.querySelector(".help")?.focus(); }, []);
  return html`
    <div class="veil" onClick=${(event) => { if (event.target === event.currentTarget) helping.value = false; }}>
      <section class="help card" role="dialog" aria-modal="true" aria-label="Keys" tabindex="-1">
        <h2>Keys</h2>
        <dl>${keys.map(([key, what]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}</dl>
        <button class="button" onClick=${() => { helping.value = false; }}>Close</button>
      </section>
    </div>`;
};

window.addEventListener("keydown", (event) => {
  if (event.key === "Escape") { helping.value = false; searching.value = false; return; }
  if (event.metaKey || event.ctrlKey || event.altKey || event.target.closest?.("input, textarea, select")) return;
  if (event.key === "/") searching.value = true;
  else if (event.key === "p" && !hello.value?.recording) setPaused(!paused.value);
  else if (event.key === "t") turn();
  else if (event.key === "?") helping.value = true;
  else if (/^[1-8]$/.test(event.key)) location.hash = `#/${pages[event.key - 1][0]}`;
  else return;
  event.preventDefault();
});

const App = () => {
  useLook("summary", {});
  const [id, name, Page] = pages.find(([other]) => other === route.value.page) ?? pages[0];
  useEffect(() => { document.title = `${name} · ${hello.value?.system ?? "MiniAgents"}`; }, [name, hello.value]);
  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); document.getElementById("main").focus(); }}>To the content</a>
    <${Header} />
    <div class="frame">
      <${Nav} />
      <main id="main" tabindex="-1" data-page=${id}>
        ${status.value === "denied" && html`<p class="banner bad" role="alert">This process wants a new link: it has printed one. The data below are from before.</p>`}
        <${Page} rest=${route.value.rest} />
      </main>
    </div>
    ${searching.value && html`<${Search} />`}
    ${helping.value && html`<${Help} />`}
    <div class="notices" role="status" aria-live="polite">${notices.value.map((entry) => html`<p key=${entry.id} data-kind=${entry.kind}>${entry.text}</p>`)}</div>`;
};

render(html`<${App} />`, document.getElementById("app"));
connect();
