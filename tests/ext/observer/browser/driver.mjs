// Drives Chromium: one order a line as JSON on standard input, one answer a line on standard output.

import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const [executablePath, options] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath,
  args: [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});
const context = await browser.newContext(JSON.parse(options));
context.setDefaultTimeout(30_000);
const complaints = [];
const requests = [];
context.on("page", (page) => {
  page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) complaints.push(`console: ${message.text()}`);
  });
  page.on("response", (response) => { // the browser asks for an icon by itself
    if (response.status() >= 400 && !response.url().endsWith("/favicon.ico")) complaints.push(`${response.status()}: ${response.url()}`);
  });
  page.on("dialog", (dialog) => { complaints.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => requests.push(request.url()));
});
const tabs = [await context.newPage()];
let page = tabs[0];

const others = {
  complaints: () => complaints,
  requests: () => requests,
  // Another tab of the same browser, which is the page from then on, as is one that is chosen again by its number.
  tab: async (number = tabs.length) => {
    tabs[number] ??= await context.newPage();
    page = tabs[number];
    await page.bringToFront();
  },
  press: (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve()),
  // Playwright runs it outside of the page's own policy.
  axe: async () => {
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    return found.violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { method, args } = JSON.parse(line);
  let answer;
  try {
    const value = method in others ? await others[method](...args) : await page[method](...args);
    answer = { value: value === undefined || typeof value?.dispose === "function" || typeof value?.url === "function" ? null : value };
  } catch (error) {
    answer = { error: String(error.message ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
