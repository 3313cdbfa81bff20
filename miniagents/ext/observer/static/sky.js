// The tree as a picture of circles: each actor in the circle of the one above it, lit by what it does.

import { hierarchy, pack } from "d3-hierarchy";
import { useEffect, useRef, useState } from "preact/hooks";
import { Empty, html, link } from "./parts.js";
import { exact, plural } from "./format.js";
import { useLook } from "./store.js";

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const still = matchMedia("(prefers-reduced-motion: reduce)");

const layout = (view, width, height) => {
  const nodes = new Map(view.order.map((key) => [key, { ...view.rows[key], below: [] }]));
  let top = null;
  for (const node of nodes.values()) {
    const parent = nodes.get(node.parent);
    if (parent) parent.below.push(node);
    else top ??= node;
  }
  if (!top) return [];
  const tree = hierarchy(top, (node) => node.below).sum((node) => (node.below.length ? 0 : 1 + Math.sqrt(node.size ?? 0) * 1.4));
  const side = Math.min(width, height);
  pack().size([width, height]).padding((node) => (node.depth === 0 ? 10 : 5))(tree);
  return tree.descendants().map((node) => ({ ...node.data, x: node.x, y: node.y, r: Math.min(node.r, side / 2), depth: node.depth, leaf: !node.children }));
};

export const Sky = () => {
  const view = useLook("sky", {});
  const canvas = useRef(null);
  const scene = useRef({ nodes: [], lit: new Map(), seen: new Map(), at: new Map() });
  const [over, setOver] = useState(null);
  const [size, setSize] = useState([600, 360]);

  useEffect(() => {
    const observer = new ResizeObserver(() => { const box = canvas.current?.parentElement; if (box) setSize([box.clientWidth, box.clientHeight]); });
    observer.observe(canvas.current.parentElement);
    return () => observer.disconnect();
  }, []);

  const shape = view?.order ? view.order.join() : "";
  useEffect(() => { if (view?.order) scene.current.nodes = layout(view, ...size); }, [shape, ...size]);
  useEffect(() => {
    if (!view?.rows) return;
    const s = scene.current;
    const time = performance.now();
    for (const node of s.nodes) {
      const row = view.rows[node.key];
      if (!row) continue;
      const before = s.seen.get(node.key);
      if (before !== undefined && row.handled !== undefined && row.handled > before) s.lit.set(node.key, time);
      if (row.handled !== undefined) s.seen.set(node.key, row.handled);
      Object.assign(node, row);
    }
  }, [view, shape, ...size]);

  useEffect(() => {
    const context = canvas.current.getContext("2d");
    let frame = 0;
    let colors = {};
    const read = () => {
      colors = Object.fromEntries(["--line", "--idle", "--running", "--warn", "--bad", "--violet", "--text", "--quiet", "--panel", "--sky-a", "--sky-b"].map((name) => [name, style(name)]));
    };
    read();
    window.addEventListener("themechange", read);
    const tone = (node) => (node.failed ? colors["--bad"] : { running: colors["--running"], starting: colors["--warn"], restarting: colors["--warn"], stopping: colors["--violet"] }[node.state] ?? colors["--idle"]);
    const draw = (time) => {
      frame = requestAnimationFrame(draw);
      if (!canvas.current || document.hidden || (still.matches && time % 1000 > 20)) return;
      const [width, height] = size;
      const scale = devicePixelRatio || 1;
      const c = canvas.current;
      if (c.width !== Math.round(width * scale) || c.height !== Math.round(height * scale)) { c.width = Math.round(width * scale); c.height = Math.round(height * scale); }
      context.setTransform(scale, 0, 0, scale, 0, 0);
      context.clearRect(0, 0, width, height);
      for (const node of scene.current.nodes) {
        const color = tone(node);
        // Positions move over a moment, so that the eye can follow them.
        const known = scene.current.at.get(node.key);
        const at = known && !still.matches ? { x: known.x + (node.x - known.x) * 0.14, y: known.y + (node.y - known.y) * 0.14, r: known.r + (node.r - known.r) * 0.14 } : { x: node.x, y: node.y, r: known ? node.r : still.matches ? node.r : 0.1 };
        scene.current.at.set(node.key, at);
        node.px = at.x; node.py = at.y; node.pr = at.r;
        context.beginPath();
        context.arc(at.x, at.y, Math.max(at.r, 0.5), 0, 7);
        if (!node.leaf) {
          context.fillStyle = node.depth % 2 ? colors["--sky-b"] : colors["--sky-a"];
          context.fill();
          context.lineWidth = 1;
          context.strokeStyle = node.failed ? colors["--bad"] : colors["--line"];
          context.stroke();
          continue;
        }
        const lit = Math.max(0, 1 - (time - (scene.current.lit.get(node.key) ?? -1e9)) / 1400);
        const breath = node.state === "running" && !still.matches ? 0.5 + 0.5 * Math.sin(time / 420 + node.x) : 0;
        context.globalAlpha = 0.3 + 0.4 * lit + 0.28 * breath;
        context.fillStyle = color;
        context.fill();
        context.globalAlpha = 0.85;
        context.lineWidth = 1.4;
        context.strokeStyle = color;
        context.stroke();
        if (lit > 0 && !still.matches) {
          context.globalAlpha = lit * 0.5;
          context.beginPath();
          context.arc(at.x, at.y, at.r + (1 - lit) * 9, 0, 7);
          context.stroke();
        }
        context.globalAlpha = 1;
        if (node.counts && at.r > 16) {
          const parts = Object.entries(node.counts);
          const total = parts.reduce((sum, [, n]) => sum + n, 0) || 1;
          let angle = -Math.PI / 2;
          for (const [state, n] of parts) {
            const end = angle + (2 * Math.PI * n) / total;
            context.beginPath();
            context.arc(at.x, at.y, at.r - 3, angle, end);
            context.lineWidth = 3;
            context.strokeStyle = tone({ state });
            context.stroke();
            angle = end;
          }
        }
        if (at.r > 15) {
          context.fillStyle = colors["--text"];
          context.font = `500 ${Math.min(12, at.r / 2.6)}px system-ui`;
          context.textAlign = "center";
          context.textBaseline = "middle";
          const name = node.name.length * 5.6 > at.r * 2 ? `${node.name.slice(0, Math.floor(at.r / 3.4))}…` : node.name;
          context.fillText(name, at.x, at.y - (node.counts ? 6 : 0));
          if (node.counts) { context.fillStyle = colors["--quiet"]; context.fillText(exact(node.size), at.x, at.y + 8); }
        }
      }
      for (const node of scene.current.nodes) {
        if (node.leaf || node.depth === 0 || node.pr < 34) continue;
        context.font = "600 10.5px system-ui";
        context.textAlign = "center";
        context.textBaseline = "middle";
        const wide = context.measureText(node.name).width + 10;
        context.fillStyle = colors["--panel"];
        context.globalAlpha = 0.92;
        context.beginPath();
        context.roundRect(node.px - wide / 2, node.py - node.pr - 7, wide, 14, 7);
        context.fill();
        context.globalAlpha = 1;
        context.fillStyle = colors["--quiet"];
        context.fillText(node.name, node.px, node.py - node.pr);
      }
    };
    frame = requestAnimationFrame(draw);
    return () => { cancelAnimationFrame(frame); window.removeEventListener("themechange", read); };
  }, [size]);

  const find = (event) => {
    const box = canvas.current.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    return scene.current.nodes.findLast((node) => Math.hypot(node.x - x, node.y - y) <= node.r) ?? null;
  };
  const summary = view?.rows ? plural(view.order.length, "circle") : "";
  return html`
    <div class="sky">
      <canvas ref=${canvas} role="img" aria-label=${`picture of the supervision tree: ${summary}. The page Agents has the same as a list.`}
        onPointerMove=${(event) => setOver(find(event))} onPointerLeave=${() => setOver(null)}
        onClick=${(event) => { const node = find(event); if (node) location.hash = link.actor(node.path.replace(/\/\*[^/]*$/, "") || "/"); }}></canvas>
      ${!view && html`<${Empty}>Drawing …<//>`}
      ${over && html`<p class="tip"><b>${over.path}</b> ${over.counts ? `${exact(over.size)} ${over.name}` : `${over.kind} · ${over.state}`}${over.mailbox ? ` · ${exact(over.mailbox)} waiting` : ""}${over.restarts ? ` · ${exact(over.restarts)} restarts` : ""}</p>`}
      <p class="legend" aria-hidden="true"><i data-state="idle"></i>idle <i data-state="running"></i>running <i data-state="restarting"></i>restarting <i data-state="failed"></i>has failed</p>
    </div>`;
};
