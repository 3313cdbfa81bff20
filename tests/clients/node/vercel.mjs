// Vercel's AI SDK, with its providers for both of OpenAI's APIs and for Anthropic's.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import {
  abortedAfterTheFirst,
  all,
  INSTRUCTIONS,
  OPENAI_URL,
  POPULATION,
  QUESTION,
  statusOf,
  TEXTS,
  TOKEN,
  Town,
} from "./common.mjs";

const openai = createOpenAI({ baseURL: OPENAI_URL, apiKey: TOKEN });
const anthropic = createAnthropic({ baseURL: OPENAI_URL, apiKey: TOKEN });

function options(api, name) {
  const providers = { chat: openai.chat, responses: openai, unstored: openai, anthropic };
  const model = providers[api](name ?? (api === "anthropic" ? "claude" : "clerk"));
  return { model, maxRetries: 0, providerOptions: api === "unstored" ? { openai: { store: false } } : {} };
}

export async function turns(api) {
  const said = [];
  const messages = [];
  for (const text of TEXTS) {
    messages.push({ role: "user", content: text });
    const answer = await generateText({ ...options(api, "historian"), instructions: INSTRUCTIONS, messages });
    messages.push(...answer.response.messages);
    said.push(answer.text);
  }
  return said;
}

function withTool(api) {
  const called = [];
  const population = tool({
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => {
      called.push({ city });
      return POPULATION[city];
    },
  });
  return [called, { ...options(api), prompt: QUESTION, tools: { population }, stopWhen: stepCountIs(5) }];
}

export async function tools(api) {
  const [called, request] = withTool(api);
  const { text } = await generateText(request);
  return { answer: text, called };
}

export async function streamed_tools(api) {
  const [called, request] = withTool(api);
  const texts = await all(textOf(request));
  return { answer: texts.join(""), called };
}

async function* textOf(request) {
  let failure;
  yield* streamText({ ...request, onError: ({ error }) => (failure = error) }).textStream;
  if (failure) throw failure;
}

export const stream = (api) => all(textOf({ ...options(api), prompt: QUESTION }));

export async function output(api) {
  const answer = await generateText({ ...options(api), prompt: QUESTION, output: Output.object({ schema: Town }) });
  return answer.output;
}

export async function usage(api) {
  const { usage: used } = await generateText({ ...options(api), prompt: QUESTION });
  return [used.inputTokens, used.outputTokens];
}

export const failure = (api) => statusOf(APICallError, all(textOf({ ...options(api, "nobody"), prompt: QUESTION })));

export const cancel = (api, name) =>
  abortedAfterTheFirst((abortSignal) => textOf({ ...options(api, "held"), prompt: name, abortSignal }));
