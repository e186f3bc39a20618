/**
 * Holds the model, and answers each connected port: `{ picture, question }` in, pieces of text out; or `{ picture, place }` in, its alternative
 * text out. The document closes itself, and frees the model's memory, when no question has come for a time.
 */
import { altText } from "./ocelli/img-alt/index.js";
import { Engine } from "./ocelli/index.js";

/** Or a published model: `{ gguf: "https://…", mmproj: "https://…" }`. */
const MODEL = "models/demo/";
/** Time without a question after which the document is closed. */
const IDLE_MS = 5 * 60_000;

let loading = null;
let ports = 0;
let idle = setTimeout(() => close(), IDLE_MS);

function load() {
  const forget = () => {
    loading = null;
  };
  if (!loading) {
    loading = Engine.load(MODEL);
    loading.then(({ closed }) => closed.then(forget), forget);
  }
  return loading;
}

async function answer({ picture, question, place }, port, signal) {
  const engine = await load();
  if (place) {
    port.postMessage({ isDone: true, ...(await altText(engine, picture, place, { signal })) });
    return;
  }
  const content = [
    { type: "image_url", image_url: { url: picture } },
    { type: "text", text: question },
  ];
  const request = { messages: [{ role: "user", content }], temperature: 0, stream: true };
  const stream = await engine.chat.completions.create(request, { signal });
  for await (const { choices } of stream) port.postMessage({ text: choices[0]?.delta.content ?? "" });
  port.postMessage({ isDone: true });
}

chrome.runtime.onConnect.addListener((port) => {
  const closed = new AbortController();
  ports++;
  clearTimeout(idle);
  port.onDisconnect.addListener(() => {
    closed.abort();
    ports--;
    if (ports === 0) idle = setTimeout(() => close(), IDLE_MS);
  });
  port.onMessage.addListener(async (message) => {
    try {
      await answer(message, port, closed.signal);
    } catch (error) {
      if (!closed.signal.aborted) port.postMessage({ error: error.message });
    }
  });
});
