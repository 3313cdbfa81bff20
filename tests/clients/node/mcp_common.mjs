// What both clients of the Model Context Protocol do with the agents: they differ in how they connect and call.
import { TOKEN, URL as SERVICE } from "./common.mjs";

const MAIN = "import sys; from miniagents.cli import main; sys.exit(main())";

export const ADDRESS = new URL(`${SERVICE}/mcp`);
export const REQUEST = { headers: { authorization: `Bearer ${TOKEN}` } };
export const PROGRAM = {
  command: process.env.SERVICE_PYTHON,
  args: ["-c", MAIN, "mcp", "tests.clients.service:agents"],
  cwd: process.env.SERVICE_ROOT,
  env: { ...process.env, PYTHONPATH: process.env.SERVICE_ROOT },
  stderr: "ignore",
};

// The functions of a script. `connect` returns a client, and `call` calls a tool of it with a message.
export function functionsOf(connect, call, era) {
  const clients = {};
  const client = async (api) => (clients[api] ??= await connect(api));
  return {
    tools: async (api) => {
      const { tools } = await (await client(api)).listTools();
      return Object.fromEntries(tools.map((tool) => [tool.name, tool.description]));
    },
    turns: async (api) => (await call(await client(api), "historian", "Hello!")).content,
    several: async (api) => (await call(await client(api), "talker", "Hello!")).content,
    // A client may lose progress that comes together with the result: the agent ends when all of it is here.
    stream: async (api, name) => {
      const pieces = [];
      const onprogress = async ({ message }) => {
        if (pieces.push(message) === 3) await call(await client(api), "release", name);
      };
      await call(await client(api), "paced", name, { onprogress });
      return pieces;
    },
    failed: async (api) => {
      const { isError, content } = await call(await client(api), "breaking", "Hello!");
      return { isError, content };
    },
    cancel: async (api, name) => {
      const stop = new AbortController();
      let first;
      let aborted;
      const onprogress = ({ message }) => {
        first ??= message;
        setImmediate(() => {
          aborted ??= (performance.timeOrigin + performance.now()) / 1000;
          stop.abort();
        });
      };
      try {
        await call(await client(api), "held", name, { onprogress, signal: stop.signal });
      } catch (error) {
        if (!stop.signal.aborted) throw error;
      }
      const seen = await call(await client(api), "witness", name);
      return { first, seen: seen.content.map(({ text }) => text), aborted };
    },
    era: async (api) => era(await client(api)),
    close: async (api) => {
      await (await client(api)).close();
      delete clients[api];
      return true;
    },
  };
}
