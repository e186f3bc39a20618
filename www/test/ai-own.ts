/** Calls whose results only the package's own provider of the AI SDK gives. */
import { generateText, streamText, type LanguageModel } from "ai";

/** `top_k` by the SDK's own option, durations as metadata, an abort, a file that is no picture, and a prompt that is too long. */
export async function ownOnly(model: LanguageModel) {
  const asked = { model, prompt: "Describe a picture.", maxOutputTokens: 12 };
  const greedy = await generateText({ ...asked, temperature: 0 });
  const drawn = await generateText({ ...asked, temperature: 2, topK: 1 });
  const timings = drawn.providerMetadata?.["ocelli"] as { decode_ms: number };
  const stop = new AbortController();
  let [aborted, pieces] = [0, 0];
  const endless = {
    prompt: "Describe a picture.",
    temperature: 1,
    maxOutputTokens: 900,
    providerOptions: { ocelli: { logit_bias: { 2: -100 } } },
  };
  const stream = streamText({ model, ...endless, abortSignal: stop.signal, onAbort: () => void aborted++ });
  for await (const _ of stream.textStream) if (++pieces === 2) stop.abort();
  const failure = (call: Promise<unknown>, of: (thrown: { code?: string; message: string }) => string) =>
    call.then(
      () => "none: it was answered",
      (thrown: { code?: string; message: string }) => of(thrown),
    );
  const audio = { type: "file" as const, mediaType: "audio/wav", data: new Uint8Array([1, 2, 3]) };
  return {
    texts: [greedy.text, drawn.text],
    warnings: drawn.warnings ?? [],
    decodeMs: timings.decode_ms,
    aborted,
    pieces,
    audio: await failure(generateText({ model, messages: [{ role: "user", content: [audio] }] }), ({ message }) => message),
    refused: await failure(generateText({ model, prompt: "a ".repeat(100_000) }), ({ code }) => String(code)),
  };
}
