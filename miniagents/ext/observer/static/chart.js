// A chart of rates over time, with uPlot.

import { useEffect, useRef } from "preact/hooks";
import { html } from "./parts.js";

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export const Chart = ({ samples, columns, height = 232 }) => {
  const box = useRef(null);
  const plot = useRef(null);
  const data = [
    samples.slice(1).map((sample) => sample[0]),
    ...columns.map(([column]) => samples.slice(1).map((sample, place) => Math.max(sample[column] - samples[place][column], 0) / Math.max(sample[0] - samples[place][0], 0.5))),
  ];
  useEffect(() => {
    const draw = () => {
      plot.current?.destroy();
      const axis = { stroke: style("--quiet"), grid: { stroke: style("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
      plot.current = new window.uPlot(
        {
          width: box.current.clientWidth || 300,
          height,
          padding: [8, 4, 0, 0],
          cursor: { points: { show: false }, drag: { x: false } },
          legend: { live: false },
          axes: [{ ...axis, space: 84, values: (_, times) => times.map((time) => new Date(time * 1000).toLocaleTimeString("en-GB")) }, { ...axis, size: 38 }],
          scales: { y: { range: (_, low, high) => [0, Math.max(high * 1.15, 1)] } },
          series: [
            {},
            ...columns.map(([, label, tone]) => ({ label, stroke: style(tone), fill: `${style(tone)}22`, width: 1.6, points: { show: false }, value: (_, value) => (value === null || value === undefined ? "–" : value.toFixed(1)) })),
          ],
        },
        data,
        box.current,
      );
    };
    draw();
    const observer = new ResizeObserver(() => { if (box.current) plot.current?.setSize({ width: box.current.clientWidth, height }); });
    observer.observe(box.current);
    window.addEventListener("themechange", draw);
    return () => { observer.disconnect(); window.removeEventListener("themechange", draw); plot.current?.destroy(); plot.current = null; };
  }, []);
  useEffect(() => { plot.current?.setData(data); }, [samples]);
  return html`<div class="chart" ref=${box} role="img" aria-label=${`chart of ${columns.map(([, label]) => label).join(" and ")} over time`}></div>`;
};
