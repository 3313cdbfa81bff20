// The TypeScript client of the Model Context Protocol, version 2: of the era without sessions.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { ADDRESS, functionsOf, PROGRAM, REQUEST } from "./mcp_common.mjs";

async function connect(api) {
  const client = new Client({ name: "tests", version: "1" }, { versionNegotiation: { mode: "auto" } });
  const http = api === "http";
  await client.connect(
    http ? new StreamableHTTPClientTransport(ADDRESS, { requestInit: REQUEST }) : new StdioClientTransport(PROGRAM),
  );
  return client;
}

const call = (client, name, message, options) => client.callTool({ name, arguments: { message } }, options);

export const { tools, turns, several, stream, failed, cancel, era, close } = functionsOf(connect, call, (client) =>
  client.getNegotiatedProtocolVersion(),
);
