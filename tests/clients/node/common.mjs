// What the scripts of all clients share: where the service is, and what they ask.
import { z } from "zod";

export const URL = process.env.SERVICE_URL;
export const OPENAI_URL = `${URL}/v1`;
export const TOKEN = process.env.SERVICE_TOKEN;

export const INSTRUCTIONS = "Be brief.";
export const TEXTS = ["Hello!", "What was said?"];
export const QUESTION = "How many people live in Paris, and in Rome?";
export const POPULATION = { Paris: "2100000", Rome: "2800000" };

export const PARAMETERS = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};

export const Town = z.object({ city: z.string(), population: z.int() });

export async function all(pieces) {
  const found = [];
  for await (const piece of pieces) found.push(piece);
  return found;
}

// The status that a client tells of a request which fails with an error of this class.
export async function statusOf(kind, asking) {
  try {
    await asking;
  } catch (error) {
    if (!(error instanceof kind)) throw error;
    return error.status ?? error.statusCode;
  }
}

// The first piece of a stream, which is aborted while it waits for the second.
export async function abortedAfterTheFirst(streamFor) {
  const controller = new AbortController();
  let first;
  try {
    for await (const piece of streamFor(controller.signal)) {
      first ??= piece;
      setImmediate(() => controller.abort());
    }
  } catch (error) {
    if (!controller.signal.aborted) throw error;
  }
  return first;
}
