// OpenAI's SDK for Node, with both of its APIs.
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import {
  abortedAfterTheFirst,
  all,
  INSTRUCTIONS,
  OPENAI_URL,
  PARAMETERS,
  POPULATION,
  QUESTION,
  statusOf,
  TEXTS,
  TOKEN,
  Town,
} from "./common.mjs";

const client = new OpenAI({ baseURL: OPENAI_URL, apiKey: TOKEN, maxRetries: 0 });

export async function turns(api) {
  const said = [];
  const messages = [{ role: "system", content: INSTRUCTIONS }];
  let previous;
  for (const text of TEXTS) {
    if (api === "responses") {
      const response = await client.responses.create({
        model: "historian",
        instructions: INSTRUCTIONS,
        input: text,
        previous_response_id: previous,
      });
      previous = response.id;
      said.push(response.output_text);
    } else {
      messages.push({ role: "user", content: text });
      const completion = await client.chat.completions.create({ model: "historian", messages });
      messages.push(completion.choices[0].message);
      said.push(completion.choices[0].message.content);
    }
  }
  return said;
}

export const tools = (api) => (api === "responses" ? toolsOfResponses(false) : toolsOfChat(false));
export const streamed_tools = (api) => (api === "responses" ? toolsOfResponses(true) : toolsOfChat(true));

async function toolsOfChat(streams) {
  const called = [];
  const population = ({ city }) => {
    called.push({ city });
    return POPULATION[city];
  };
  const runner = client.chat.completions.runTools({
    model: "clerk",
    stream: streams,
    messages: [{ role: "user", content: QUESTION }],
    tools: [
      { type: "function", function: { name: "population", function: population, parse: JSON.parse, parameters: PARAMETERS } },
    ],
  });
  return { answer: await runner.finalContent(), called };
}

async function toolsOfResponses(streams) {
  const called = [];
  const input = [{ role: "user", content: QUESTION }];
  const tools = [{ type: "function", name: "population", parameters: PARAMETERS, strict: true }];
  for (;;) {
    const request = { model: "clerk", input, tools, store: false };
    const response = streams
      ? await client.responses.stream(request).finalResponse()
      : await client.responses.create(request);
    input.push(...response.output);
    const calls = response.output.filter((item) => item.type === "function_call");
    if (calls.length === 0) return { answer: response.output_text, called };
    for (const call of calls) {
      const given = JSON.parse(call.arguments);
      called.push(given);
      input.push({ type: "function_call_output", call_id: call.call_id, output: POPULATION[given.city] });
    }
  }
}

async function* pieces(api, model, text, signal) {
  if (api === "responses") {
    for await (const event of await client.responses.create({ model, input: text, stream: true }, { signal })) {
      if (event.type === "response.output_text.delta") yield event.delta;
    }
  } else {
    const messages = [{ role: "user", content: text }];
    for await (const chunk of await client.chat.completions.create({ model, messages, stream: true }, { signal })) {
      if (chunk.choices[0].delta.content) yield chunk.choices[0].delta.content;
    }
  }
}

export const stream = (api) => all(pieces(api, "clerk", QUESTION));

export async function output(api) {
  if (api === "responses") {
    const format = zodTextFormat(Town, "town");
    const response = await client.responses.parse({ model: "clerk", input: QUESTION, text: { format } });
    return response.output_parsed;
  }
  const completion = await client.chat.completions.parse({
    model: "clerk",
    messages: [{ role: "user", content: QUESTION }],
    response_format: zodResponseFormat(Town, "town"),
  });
  return completion.choices[0].message.parsed;
}

export async function usage(api) {
  if (api === "responses") {
    const response = await client.responses.create({ model: "clerk", input: QUESTION });
    return [response.usage.input_tokens, response.usage.output_tokens];
  }
  const messages = [{ role: "user", content: QUESTION }];
  const completion = await client.chat.completions.create({ model: "clerk", messages });
  return [completion.usage.prompt_tokens, completion.usage.completion_tokens];
}

export const failure = (api) => statusOf(OpenAI.NotFoundError, all(pieces(api, "nobody", QUESTION)));

export const cancel = (api, name) => abortedAfterTheFirst((signal) => pieces(api, "held", name, signal));
