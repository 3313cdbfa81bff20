// Records two browsers at the observer, one with dark colours and one with light ones: a folder of PNGs for each, with the time
// of each picture in its name. Arguments: the path of chromium, the folder, and the two links.

import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";

const { chromium } = createRequire(new URL("../../tests/ext/observer/browser/driver.mjs", import.meta.url))("playwright-core");

const [executablePath, folder, ...links] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ["--headless=new", "--no-sandbox", "--disable-gpu"] });
const schemes = ["dark", "light"];
const pages = await Promise.all(schemes.map(async (colorScheme, number) => {
  mkdirSync(`${folder}/${colorScheme}`, { recursive: true });
  const context = await browser.newContext({ colorScheme, viewport: { width: 1120, height: 720 } });
  const page = await context.newPage();
  await page.goto(links[number]);
  return page;
}));

// What is done on the page, at seconds from the start. The swarm has worked for some seconds before.
const scenes = [
  [0, (page) => page.evaluate(() => { location.hash = "#/overview"; })],
  [6, (page) => page.evaluate(() => { location.hash = "#/interactions"; })],
  [7, (page) => page.locator(".row.call", { hasText: "researcher" }).nth(1).click()],
  [12, (page) => page.evaluate(() => { location.hash = "#/agents"; })],
  [12.5, async (page) => {
    for (const pool of ["readers", "searchers"]) await page.locator("[role=treeitem]", { hasText: pool }).locator(".fold").click();
    await page.locator("[role=treeitem]", { hasText: /^\s*1/ }).nth(1).click();
  }],
];
const END = 16.5, EVERY = 0.25;

await new Promise((done) => setTimeout(done, 12_000));
const began = Date.now();
const since = () => (Date.now() - began) / 1000;
for (let next = 0; next < END; next += EVERY) {
  while (scenes.length && scenes[0][0] <= next) {
    const [, act] = scenes.shift();
    await Promise.all(pages.map(act));
  }
  await new Promise((done) => setTimeout(done, Math.max(0, next - since()) * 1000));
  const at = String(Math.round(since() * 1000)).padStart(6, "0");
  await Promise.all(pages.map((page, number) => page.screenshot({ path: `${folder}/${schemes[number]}/${at}.png` })));
}
await browser.close();
