// Numbers, times and durations as people read them.

export const number = (n) => {
  if (n === null || n === undefined) return "–";
  if (Math.abs(n) < 1000) return Number.isInteger(n) ? String(n) : n.toFixed(n < 10 ? 1 : 0);
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (Math.abs(n) >= size) return (n / size).toFixed(n / size < 10 ? 1 : 0) + unit;
  }
  return String(n);
};

export const exact = (n) => (n ?? 0).toLocaleString("en");

export const seconds = (s) => {
  if (s === null || s === undefined) return "–";
  if (s < 0.001) return `${Math.max(Math.round(s * 1e6), 0)} µs`;
  if (s < 1) return `${s < 0.01 ? (s * 1000).toFixed(1) : Math.round(s * 1000)} ms`;
  if (s < 60) return `${s.toFixed(s < 10 ? 1 : 0)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} m ${Math.floor(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} m`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
};

export const money = (c) => (c === null || c === undefined ? "unknown" : c === 0 ? "$0" : c < 0.01 ? `$${c.toFixed(5)}` : `$${c.toFixed(2)}`);

export const bytes = (b) => {
  if (b < 1024) return `${b} B`;
  if (b < 1024 ** 2) return `${(b / 1024).toFixed(0)} KiB`;
  return `${(b / 1024 ** 2).toFixed(1)} MiB`;
};

export const clock = (at) => new Date(at * 1000).toLocaleTimeString("en-GB", { hour12: false });

export const plural = (n, word, many = `${word}s`) => `${exact(n)} ${n === 1 ? word : many}`;
