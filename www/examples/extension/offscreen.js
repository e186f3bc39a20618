/** Holds the model, and answers each connected port: `{ picture, question }` in, pieces of text out. */
import { Engine } from "./ocelli/index.js";

/** Or a published model: `{ gguf: "https://…", mmproj: "https://…" }`. */
const MODEL = "models/demo/";
let loading = null;

function load() {
  loading ??= Engine.load(MODEL).catch((error) => {
    loading = null;
    throw error;
  });
  return loading;
}

chrome.runtime.onConnect.addListener((port) => {
  const closed = new AbortController();
  port.onDisconnect.addListener(() => closed.abort());
  port.onMessage.addListener(async ({ picture, question }) => {
    const content = [
      { type: "image_url", image_url: { url: picture } },
      { type: "text", text: question },
    ];
    try {
      const { chat } = await load();
      const request = { messages: [{ role: "user", content }], temperature: 0, stream: true };
      const stream = await chat.completions.create(request, { signal: closed.signal });
      for await (const { choices } of stream) port.postMessage({ text: choices[0]?.delta.content ?? "" });
      port.postMessage({ isDone: true });
    } catch (error) {
      if (!closed.signal.aborted) port.postMessage({ error: error.message });
    }
  });
});
