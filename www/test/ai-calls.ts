/** Calls with Vercel's AI SDK, to `engine.fetch` in a page and to `ocelli serve` in Node. */
import { APICallError, generateText, isStepCount, Output, streamText, tool, type LanguageModel, type ModelMessage, type ToolSet } from "ai";
import { z } from "zod";

const scene = z.object({ shape: z.enum(["circle", "star"]), count: z.number().int().min(0).max(9) });
export type Scene = z.infer<typeof scene>;

/** A question about a picture. */
function about(picture: URL | Uint8Array): ModelMessage[] {
  const content = [
    { type: "file" as const, mediaType: "image/png", data: picture },
    { type: "text" as const, text: "Describe this image." },
  ];
  return [{ role: "user", content }];
}

/** Descriptions of the picture: whole, streamed, and sampled with only the likeliest token allowed. */
export async function describe(model: LanguageModel, picture: URL | Uint8Array) {
  const asked = { model, messages: about(picture), maxOutputTokens: 40 };
  const whole = await generateText({ ...asked, temperature: 0 });
  const stream = streamText({ ...asked, temperature: 0 });
  let streamed = "";
  let pieces = 0;
  for await (const piece of stream.textStream) {
    streamed += piece;
    pieces++;
  }
  const drawn = await generateText({ ...asked, temperature: 1.5, providerOptions: { ocelli: { top_k: 1 } } });
  return {
    texts: [whole.text, streamed, drawn.text],
    pieces,
    tokens: [whole.usage.outputTokens, (await stream.usage).outputTokens],
    reasons: [whole.finishReason, await stream.finishReason],
    warnings: whole.warnings ?? [],
  };
}

/** Objects of a schema: whole, and streamed in parts. */
export async function objects(model: LanguageModel) {
  const asked = { model, prompt: "Name a shape and count to three.", output: Output.object({ schema: scene }), maxOutputTokens: 80 };
  const whole = await generateText(asked);
  const stream = streamText({ ...asked, temperature: 0 });
  const parts: unknown[] = [];
  for await (const part of stream.partialOutputStream) parts.push(part);
  return { whole: whole.output, streamed: await stream.output, parts: parts.length };
}

/** A required tool call that is run, and the answer to its result. Then the same call streamed and not run. */
export async function tools(model: LanguageModel) {
  const painted: Scene[] = [];
  const definition = { description: "Paints shapes.", inputSchema: scene };
  const execute = async (input: Scene) => {
    painted.push(input);
    return `${input.count} painted`;
  };
  // The SDK's own types are incompatible with each other under `exactOptionalPropertyTypes`.
  const run = { paint: tool({ ...definition, execute }) } as unknown as ToolSet;
  const only = { paint: tool(definition) } as unknown as ToolSet;
  const asked = {
    model,
    prompt: "Paint a star.",
    temperature: 0,
    maxOutputTokens: 60,
    providerOptions: { ocelli: { parallel_tool_calls: false } },
  };
  const looped = await generateText({
    ...asked,
    tools: run,
    stopWhen: isStepCount(2),
    prepareStep: ({ stepNumber }) => ({ toolChoice: stepNumber === 0 ? "required" : "none" }),
  });
  const streamed = streamText({ ...asked, tools: only, toolChoice: { type: "tool", toolName: "paint" } });
  const kinds = new Set<string>();
  for await (const { type } of streamed.stream) kinds.add(type);
  const calls = (await streamed.toolCalls).map(({ toolName, input }) => ({ toolName, input: input as Scene }));
  return { painted, steps: looped.steps.map(({ finishReason }) => finishReason), calls, kinds: [...kinds] };
}

/** A stream aborted after its second piece of text, and a refused request. */
export async function failures(model: LanguageModel, stranger: LanguageModel) {
  const stop = new AbortController();
  let aborts = 0;
  let pieces = 0;
  const asked = {
    prompt: "Describe a picture.",
    temperature: 1,
    maxOutputTokens: 900,
    providerOptions: { ocelli: { logit_bias: { 2: -100 } } },
  };
  const stream = streamText({ model, ...asked, abortSignal: stop.signal, onAbort: () => void aborts++ });
  for await (const _ of stream.textStream) if (++pieces === 2) stop.abort();
  const refused = await generateText({ model: stranger, prompt: "a" }).then(
    () => null,
    (thrown: unknown) => (APICallError.isInstance(thrown) ? [thrown.statusCode, thrown.isRetryable] : String(thrown)),
  );
  return { aborts, pieces, refused };
}
