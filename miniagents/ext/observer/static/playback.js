// The time slider of a recording.

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Icon, html } from "./parts.js";
import { clock } from "./format.js";
import { hello, seek, setSeek, status } from "./store.js";

const playing = signal(false);
const speed = signal(1);
const STEP = 0.25; // seconds between two moments while it plays

const go = (at) => {
  const { begins, ends } = hello.value.recording;
  setSeek(Math.min(Math.max(at, begins), ends));
};

const play = (is) => {
  const { begins, ends } = hello.value.recording;
  if (is && seek.value >= ends) setSeek(begins);
  playing.value = is;
};

window.addEventListener("keydown", (event) => {
  if (!hello.value?.recording || event.metaKey || event.ctrlKey || event.altKey || event.target.closest?.("input, textarea, select, button")) return;
  if (event.key === "p") play(!playing.value);
  else if (event.key === ",") go(seek.value - 1);
  else if (event.key === ".") go(seek.value + 1);
});

export const Playback = () => {
  const { begins, ends } = hello.value.recording;
  useEffect(() => {
    if (!playing.value) return undefined;
    const timer = setInterval(() => {
      go(seek.value + STEP * speed.value);
      if (seek.value >= ends) playing.value = false;
    }, STEP * 1000);
    return () => clearInterval(timer);
  }, [playing.value, ends]);
  const at = seek.value ?? ends;
  return html`
    <span class="fresh-dot" data-state=${status.value === "live" ? "live" : "lost"}><i aria-hidden="true"></i><b>recording</b></span>
    <span class="playback" role="group" aria-label="Recording">
      <button class="tool" onClick=${() => play(!playing.value)} title="Play, pause  p" aria-label=${playing.value ? "Pause" : "Play"} aria-pressed=${playing.value}><${Icon} name=${playing.value ? "pause" : "play"} /></button>
      <input type="range" min=${begins} max=${ends} step="0.1" value=${at} aria-label="Time of the recording" aria-valuetext=${clock(at)}
        onInput=${(event) => { playing.value = false; go(Number(event.target.value)); }} />
      <time>${clock(at)}</time>
      <label class="chip picks"><span class="visually-hidden">Speed</span>
        <select value=${speed.value} onChange=${(event) => { speed.value = Number(event.target.value); }}>
          ${[1, 4, 16, 60].map((times) => html`<option value=${times}>${times}×</option>`)}
        </select></label>
    </span>`;
};
