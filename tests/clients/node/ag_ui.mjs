// AG-UI's own client: an `HttpAgent` for each chat, which keeps the messages.
import { HttpAgent } from "@ag-ui/client";
import { PARAMETERS, POPULATION, QUESTION, TEXTS, TOKEN, URL } from "./common.mjs";

const agentFor = (name) => new HttpAgent({ url: `${URL}/agents/${name}/ag-ui`, headers: { authorization: `Bearer ${TOKEN}` } });

const say = (agent, content) => agent.addMessage({ id: crypto.randomUUID(), role: "user", content });

async function replies(agent, parameters, subscriber) {
  const { newMessages } = await agent.runAgent(parameters, subscriber);
  return newMessages.filter((message) => message.role === "assistant").map((message) => message.content ?? "");
}

export async function turns() {
  const agent = agentFor("historian");
  const said = [];
  for (const text of TEXTS) {
    say(agent, text);
    said.push((await replies(agent)).join(""));
  }
  return said;
}

export async function tools(_, name) {
  const agent = agentFor(name);
  const called = [];
  say(agent, QUESTION);
  const population = { name: "population", description: "The population of a city.", parameters: PARAMETERS };
  let texts = await replies(agent, { tools: [population] });
  for (const { id, function: call } of agent.messages.at(-1).toolCalls ?? []) {
    const input = JSON.parse(call.arguments);
    called.push(input);
    agent.addMessage({ id: crypto.randomUUID(), role: "tool", toolCallId: id, content: POPULATION[input.city] });
  }
  texts = await replies(agent, { tools: [population] });
  return { answer: texts.join(""), called };
}

export async function own_tools() {
  const agent = agentFor("desk");
  say(agent, QUESTION);
  const outcome = {};
  await agent.runAgent({}, { onRunFinishedEvent: ({ event }) => void Object.assign(outcome, event.outcome) });
  const calls = agent.messages.flatMap((message) => message.toolCalls ?? []);
  const results = agent.messages.filter((message) => message.role === "tool");
  return {
    answer: agent.messages.at(-1).content,
    called: calls.map((call) => JSON.parse(call.function.arguments)),
    results: calls.map((call) => results.find((result) => result.toolCallId === call.id).content),
    left: outcome.pendingToolCallIds ?? [],
  };
}

export async function reasoning() {
  const agent = agentFor("thinker");
  say(agent, QUESTION);
  await agent.runAgent();
  const of = (role) => agent.messages.find((message) => message.role === role)?.content;
  return { thought: of("reasoning"), answer: of("assistant") };
}

export async function messages() {
  const agent = agentFor("talker");
  say(agent, QUESTION);
  return await replies(agent);
}

export async function stream() {
  const agent = agentFor("clerk");
  const pieces = [];
  say(agent, QUESTION);
  await agent.runAgent({}, { onTextMessageContentEvent: ({ event }) => void pieces.push(event.delta) });
  return pieces;
}

export async function usage() {
  const agent = agentFor("clerk");
  let usage;
  say(agent, QUESTION);
  await agent.runAgent({}, { onRunFinishedEvent: ({ event }) => void (usage = event.usage) });
  return usage.map((entry) => [entry.inputTokens, entry.outputTokens]).flat();
}

export async function failure() {
  try {
    await agentFor("nobody").runAgent();
  } catch (error) {
    return error.status;
  }
}

export async function failure_in_a_stream() {
  const agent = agentFor("breaking");
  let failed;
  say(agent, QUESTION);
  try {
    await agent.runAgent({}, { onRunErrorEvent: ({ event }) => void (failed = [event.code, event.message]) });
  } catch (error) {
    failed ??= [error.code, error.message];
  }
  return { text: agent.messages.at(-1).content, failed };
}

export async function cancel(_, name) {
  const agent = agentFor("held");
  let first;
  say(agent, name);
  const stop = ({ event }) => {
    first ??= event.delta;
    setImmediate(() => agent.abortRun());
  };
  try {
    await agent.runAgent({}, { onTextMessageContentEvent: stop });
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  }
  return first;
}
