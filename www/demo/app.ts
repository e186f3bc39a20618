/** The demo page: pictures and questions in, streamed answers out. */
import { Engine, type ChatMessage } from "../src/index.js";
import { Answer, ask, beginNewTopic, clearConversation } from "./conversation.js";
import { announce, button, find } from "./dom.js";
import { showGallery } from "./gallery.js";
import { keepForOffline } from "./offline.js";
import { attach, hasAttached, listenForFiles, takeAttached } from "./pictures.js";
import { clearProblem, showProblem } from "./problems.js";
import { showNotLoaded, showReady, showReport } from "./status.js";
import { Stopwatch } from "./stopwatch.js";

const MAX_TOKENS = 256;
const DESCRIBE = "Describe this image.";
const SUGGESTIONS = [DESCRIBE, "How many shapes are there?", "What does the word say?"];
const MOST_SUGGESTIONS = 4;

const question = find("question", HTMLTextAreaElement);
const send = find("send", HTMLButtonElement);
const stop = find("stop", HTMLButtonElement);
const newConversation = find("new-conversation", HTMLButtonElement);
const describeAtOnce = find("describe-at-once", HTMLInputElement);

let engine: Engine | null = null;
let running: AbortController | null = null;
/** A question asked before the model was there. */
let waiting: string | null = null;
/** Why there is no model and will be none. */
let loadFailure: unknown = null;

async function start(): Promise<void> {
  const demo = new URL("models/demo/", document.baseURI);
  const model = new URLSearchParams(location.search).get("model") ?? demo;
  void showGallery(new URL("gallery/", demo), pickScene).catch(() => undefined);
  try {
    engine = await Engine.load(model, { onProgress: showReport });
  } catch (thrown) {
    loadFailure = thrown;
    showNotLoaded();
    showProblem(thrown);
    return;
  }
  showReady(engine.device);
  showControls();
  // After the model: its download must not wait for the page's own files to be stored.
  void keepForOffline().catch(() => undefined);
  if (waiting !== null) await submit(waiting);
}

function pickScene(picture: File, prompts: string[]): void {
  addPictures([picture]);
  suggest([...new Set([DESCRIBE, ...prompts])].slice(0, MOST_SUGGESTIONS));
}

function addPictures(files: File[]): void {
  clearProblem();
  suggest(SUGGESTIONS);
  const atOnce = describeAtOnce.checked && question.value.trim() === "" && !hasAttached() && !running;
  for (const file of files) attach(file, file.name);
  if (!atOnce) return question.focus();
  beginNewTopic();
  void submit(DESCRIBE);
}

async function submit(text: string): Promise<void> {
  if (running) return;
  if (!engine) {
    waiting = text;
    if (loadFailure) showProblem(loadFailure);
    return;
  }
  waiting = null;
  const pictures = takeAttached();
  clearProblem();
  question.value = "";
  const messages = ask(text, pictures);
  const answer = new Answer(messages);
  running = new AbortController();
  showControls();
  try {
    await stream(engine, messages, answer, running.signal);
  } catch (thrown) {
    answer.discard();
    showProblem(thrown, pictures.map(({ name }) => name).join(", "));
  } finally {
    running = null;
    showControls();
  }
}

/** Streams one answer into the page. Stopped by the user, it keeps what there is. */
async function stream(engine: Engine, messages: ChatMessage[], answer: Answer, signal: AbortSignal): Promise<void> {
  const stopwatch = new Stopwatch();
  try {
    const chunks = await engine.chat.completions.create(
      { messages, stream: true, stream_options: { include_usage: true }, temperature: 0, max_tokens: MAX_TOKENS },
      {
        signal,
        onProgress: (event) => {
          if (event.kind === "note") answer.note(event.message);
          else answer.showStage(event.stage === "vision" ? "Looking at the picture …" : "Reading the question …");
        },
      },
    );
    for await (const chunk of chunks) {
      const text = chunk.choices[0]?.delta.content;
      if (text) {
        stopwatch.token();
        answer.append(text);
      }
      if (chunk.usage) stopwatch.usage(chunk.usage);
    }
    answer.finish(stopwatch.summary());
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
    answer.finish("Stopped.");
    announce("Stopped.");
  }
}

function showControls(): void {
  const busy = running !== null;
  send.disabled = busy || !engine;
  send.hidden = busy;
  stop.hidden = !busy;
  newConversation.disabled = busy || !engine;
  for (const suggestion of document.querySelectorAll<HTMLButtonElement>("#suggestions button")) suggestion.disabled = busy;
}

function listen(): void {
  listenForFiles(addPictures);
  find("composer", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    const text = question.value.trim() || (hasAttached() ? DESCRIBE : "");
    if (text) void submit(text);
  });
  question.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    find("composer", HTMLFormElement).requestSubmit();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") running?.abort();
  });
  stop.addEventListener("click", () => {
    running?.abort();
    question.focus();
  });
  newConversation.addEventListener("click", () => {
    clearConversation();
    clearProblem();
    announce("New conversation.");
    question.focus();
  });
}

function suggest(questions: string[]): void {
  const buttons = questions.map((text) => button(text, { class: "suggestion" }, () => void submit(text)));
  find("suggestions", HTMLElement).replaceChildren(...buttons);
  showControls();
}

listen();
suggest(SUGGESTIONS);
void start();
