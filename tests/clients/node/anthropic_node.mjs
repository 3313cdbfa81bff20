// Anthropic's SDK for Node.
import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import {
  abortedAfterTheFirst,
  all,
  INSTRUCTIONS,
  PARAMETERS,
  POPULATION,
  QUESTION,
  statusOf,
  TEXTS,
  TOKEN,
  Town,
  URL,
} from "./common.mjs";

const client = new Anthropic({ baseURL: URL, apiKey: TOKEN, maxRetries: 0 });

export async function turns() {
  const said = [];
  const messages = [];
  for (const text of TEXTS) {
    messages.push({ role: "user", content: text });
    const answer = await client.messages.create({
      model: "historian",
      max_tokens: 100,
      system: INSTRUCTIONS,
      messages,
    });
    messages.push({ role: "assistant", content: answer.content });
    said.push(answer.content[0].text);
  }
  return said;
}

export const tools = () => loop((request) => client.messages.create(request));
export const streamed_tools = () => loop((request) => client.messages.stream(request).finalMessage());

async function loop(ask) {
  const called = [];
  const messages = [{ role: "user", content: QUESTION }];
  const tools = [{ name: "population", input_schema: PARAMETERS }];
  for (;;) {
    const answer = await ask({ model: "claude", max_tokens: 100, messages, tools });
    messages.push({ role: "assistant", content: answer.content });
    if (answer.stop_reason !== "tool_use") return { answer: answer.content[0].text, called };
    const results = answer.content.map(({ id, input }) => {
      called.push(input);
      return { type: "tool_result", tool_use_id: id, content: POPULATION[input.city] };
    });
    messages.push({ role: "user", content: results });
  }
}

async function* pieces(model, text, signal) {
  const messages = [{ role: "user", content: text }];
  for await (const event of client.messages.stream({ model, max_tokens: 100, messages }, { signal })) {
    if (event.type === "content_block_delta") yield event.delta.text;
  }
}

export const stream = () => all(pieces("claude", QUESTION));

export async function output() {
  const answer = await client.messages.parse({
    model: "claude",
    max_tokens: 100,
    messages: [{ role: "user", content: QUESTION }],
    output_config: { format: zodOutputFormat(Town) },
  });
  return answer.parsed_output;
}

export async function usage() {
  const messages = [{ role: "user", content: QUESTION }];
  const answer = await client.messages.create({ model: "claude", max_tokens: 100, messages });
  return [answer.usage.input_tokens, answer.usage.output_tokens];
}

export const failure = () => statusOf(Anthropic.NotFoundError, all(pieces("nobody", QUESTION)));

export const cancel = (_, name) => abortedAfterTheFirst((signal) => pieces("held", name, signal));
