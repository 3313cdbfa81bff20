// The TypeScript SDK of the Model Context Protocol, version 1: of the era with sessions.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ADDRESS, functionsOf, PROGRAM, REQUEST } from "./mcp_common.mjs";

async function connect(api) {
  const client = new Client({ name: "tests", version: "1" });
  const http = api === "http";
  await client.connect(
    http ? new StreamableHTTPClientTransport(ADDRESS, { requestInit: REQUEST }) : new StdioClientTransport(PROGRAM),
  );
  return client;
}

const call = (client, name, message, options) => client.callTool({ name, arguments: { message } }, undefined, options);

export const { tools, turns, several, stream, failed, cancel, era, close } = functionsOf(
  connect,
  call,
  (client) => client.transport.protocolVersion ?? client.getServerVersion().name,
);
