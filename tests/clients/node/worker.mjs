// Runs the functions of a client's script, as it is told: a line of JSON in, a line of JSON out; see worker.py.
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";

console.log = console.info = console.warn = console.error; // what a library prints is no answer

const script = await import(`./${process.argv[2]}.mjs`);
for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...given] = JSON.parse(line);
  let answer;
  try {
    answer = { result: await script[name](...given) };
  } catch (error) {
    answer = { error: `${error?.stack ?? error}\n${error?.responseBody ?? ""}` };
  }
  writeSync(1, JSON.stringify(answer) + "\n");
}
process.exit(0); // connections that are kept alive would keep the process
