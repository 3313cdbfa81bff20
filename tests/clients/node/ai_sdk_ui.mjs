// The chat transport of Vercel's AI SDK, of two of its versions: what `useChat` is built on.
import * as v6 from "ai-6";
import * as v7 from "ai";
import { POPULATION, QUESTION, TEXTS, TOKEN, URL } from "./common.mjs";

const sdks = { v6, v7 };

class Chat {
  constructor(version, name, body = {}) {
    this.sdk = sdks[version];
    this.messages = [];
    const headers = { authorization: `Bearer ${TOKEN}` };
    this.transport = new this.sdk.DefaultChatTransport({ api: `${URL}/agents/${name}/ai-sdk`, headers, body });
  }

  say(text) {
    this.messages.push({ id: crypto.randomUUID(), role: "user", parts: [{ type: "text", text }] });
    return this;
  }

  // The chunks of the answer.
  chunks(abortSignal) {
    const about = { chatId: "chat", trigger: "submit-message", messageId: undefined };
    return this.transport.sendMessages({ ...about, messages: this.messages, abortSignal });
  }

  // The states of the answer, as the page shows them, one after the other; the last one stays in the chat.
  async *states({ abortSignal, onError } = {}) {
    const last = this.messages.at(-1);
    const message = last.role === "assistant" ? last : undefined;
    const stream = await this.chunks(abortSignal);
    let state;
    for await (state of this.sdk.readUIMessageStream({ message, stream, onError, terminateOnError: !onError })) yield state;
    if (message) this.messages.pop();
    this.messages.push(state);
  }

  async answer(options) {
    for await (const _ of this.states(options));
    return this.messages.at(-1);
  }
}

const textOf = (message) => message.parts.filter((part) => part.type === "text").map((part) => part.text).join("");

export async function turns(version) {
  const chat = new Chat(version, "historian");
  const said = [];
  for (const text of TEXTS) said.push(textOf(await chat.say(text).answer()));
  return said;
}

const PARAMETERS = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const TOOLS = [{ type: "function", function: { name: "population", description: "Of a city.", parameters: PARAMETERS } }];

export async function tools(version, name) {
  const chat = new Chat(version, name, { tools: TOOLS });
  const called = [];
  const { id, parts } = await chat.say(QUESTION).answer();
  for (const part of parts.filter((part) => part.type === "tool-population" && part.state === "input-available")) {
    called.push(part.input);
    Object.assign(part, { state: "output-available", output: POPULATION[part.input.city] });
  }
  const complete = chat.sdk.lastAssistantMessageIsCompleteWithToolCalls({ messages: chat.messages });
  const answer = await chat.answer();
  return { answer: textOf(answer), called, goes_on: complete && answer.id === id && chat.messages.length === 2 };
}

export async function own_tools(version) {
  const chat = new Chat(version, "desk");
  const message = await chat.say(QUESTION).answer();
  const parts = message.parts.filter((part) => part.type === "tool-population");
  return {
    answer: textOf(message),
    called: parts.map((part) => part.input),
    results: parts.map((part) => part.output),
    left: parts.filter((part) => !part.providerExecuted),
  };
}

export async function reasoning(version) {
  const message = await new Chat(version, "thinker").say(QUESTION).answer();
  return { thought: message.parts.find((part) => part.type === "reasoning")?.text, answer: textOf(message) };
}

export async function messages(version) {
  const { parts } = await new Chat(version, "talker").say(QUESTION).answer();
  return parts.filter((part) => part.type === "text").map((part) => part.text);
}

export async function stream(version) {
  const pieces = [];
  for await (const chunk of await new Chat(version, "clerk").say(QUESTION).chunks())
    if (chunk.type === "text-delta") pieces.push(chunk.delta);
  return pieces;
}

export async function usage(version) {
  const { metadata } = await new Chat(version, "clerk").say(QUESTION).answer();
  return [metadata.usage.inputTokens, metadata.usage.outputTokens];
}

export async function failure(version) {
  try {
    await new Chat(version, "nobody").say(QUESTION).answer();
  } catch (error) {
    return error.statusCode ?? JSON.parse(error.message).error.code; // version 6 has the body alone
  }
}

export async function failure_in_a_stream(version) {
  let failed;
  const chat = new Chat(version, "breaking").say(QUESTION);
  const message = await chat.answer({ onError: (error) => void (failed = error.message) });
  return { text: textOf(message), failed, done: message.parts.every((part) => (part.state ?? "done") === "done") };
}

export async function cancel(version, name) {
  const controller = new AbortController();
  let first;
  try {
    for await (const state of new Chat(version, "held").say(name).states({ abortSignal: controller.signal })) {
      if (!textOf(state)) continue;
      first ??= textOf(state);
      setImmediate(() => controller.abort());
    }
  } catch (error) {
    if (!controller.signal.aborted) throw error;
  }
  return first;
}
