/** The demo page: pictures and questions in, streamed answers out. */
import { Engine, packages, type ChatMessage } from "../src/index.js";
import { linkedChoice } from "./link.js";
import { DEMO, isDemo, nameOf, savedChoice, saveChoice, type Choice } from "./model-choice.js";
import { showChoices, showCurrent } from "./model-list.js";
import { Answer, ask, beginNewTopic, clearConversation } from "./conversation.js";
import { askedDevice } from "./device.js";
import { announce, button, find } from "./dom.js";
import { showGallery } from "./gallery.js";
import { keepForOffline } from "./offline.js";
import { forgetModelFiles, isModelFile, listenForModelFiles, takeModelFiles } from "./model-files.js";
import { hasPhotograph, offerModel, withdrawOffer } from "./photograph.js";
import { attach, hasAttached, listenForFiles, takeAttached } from "./pictures.js";
import { clearProblem, showProblem } from "./problems.js";
import { showLoading, showNotLoaded, showReady, showReport } from "./status.js";
import { Stopwatch } from "./stopwatch.js";

const MAX_TOKENS = 256;
const DESCRIBE = "Describe this image.";
const SUGGESTIONS = [DESCRIBE, "How many shapes are there?", "What does the word say?"];
const MOST_SUGGESTIONS = 4;

const question = find("question", HTMLTextAreaElement);
const send = find("send", HTMLButtonElement);
const stop = find("stop", HTMLButtonElement);
const newConversation = find("new-conversation", HTMLButtonElement);
const fullDetail = find("full-detail", HTMLInputElement);
const describeAtOnce = find("describe-at-once", HTMLInputElement);

let engine: Engine | null = null;
/** The model that `engine` holds. */
let current: Choice | null = null;
/** Aborts the load that is running. */
let loading: AbortController | null = null;
/** Aborts the answer that is running. */
let running: AbortController | null = null;
/** A question asked before the model was there. */
let waiting: string | null = null;
/** Why no model could be loaded. */
let loadFailure: unknown = null;

async function start(): Promise<void> {
  void showGallery(new URL("gallery/", DEMO.source as string), pickScene).catch(() => undefined);
  const linked = await linkedChoice();
  const last = linked ? null : await savedChoice();
  await use(linked ?? last ?? DEMO, { isLinked: linked !== null });
  if (!engine && last) await use(DEMO, { keepsProblem: true });
}

/**
 * Loads a model and uses it from then on. Only the demo model, which is small, stays loaded until then. The next visit begins with it,
 * unless it came by a link.
 */
async function use(choice: Choice, { keepsProblem = false, isLinked = false } = {}): Promise<void> {
  loading?.abort();
  const load = new AbortController();
  loading = load;
  if (!keepsProblem) clearProblem();
  if (engine && current && !isDemo(current)) dropEngine();
  showLoading(isDemo(choice) ? null : () => load.abort());
  showControls();
  void showChoices(current, choose).catch(() => undefined);
  try {
    const onProgress: typeof showReport = (report) => loading === load && showReport(report);
    const loaded = await Engine.load(choice.source, { share: true, device: askedDevice(), signal: load.signal, onProgress });
    dropEngine();
    [engine, current] = [loaded, choice];
    loadFailure = null;
    if (!isLinked) saveChoice(choice, loaded.packageUrl);
    becomeReady(loaded, choice);
  } catch (thrown) {
    if (loading !== load) return;
    showNotLoaded();
    if (load.signal.aborted) announce("Cancelled. The part that was imported is kept, and the import can be resumed.");
    else showProblem(thrown, isDemo(choice) ? "" : choice.name);
    if (!engine) loadFailure = load.signal.aborted ? null : thrown;
  }
  loading = null;
  showControls();
  await showChoices(current, choose).catch(() => undefined);
  if (waiting !== null && engine) await submit(waiting);
}

function becomeReady(loaded: Engine, choice: Choice): void {
  if (document.activeElement === find("load-cancel", HTMLButtonElement)) question.focus();
  showReady(loaded.device);
  showCurrent(choice);
  if (!isDemo(choice)) withdrawOffer();
  forgetModelFiles();
  // Only now, so that the model's download does not wait for the page's own files.
  void keepForOffline().catch(() => undefined);
}

function dropEngine(): void {
  running?.abort();
  if (!engine) return;
  engine.unload();
  [engine, current] = [null, null];
  clearConversation();
}

/** Loads the model that the user chose; if that fails, the demo model. */
async function choose(choice: Choice): Promise<void> {
  void packages.requestPersistence().catch(() => false);
  find("models", HTMLDetailsElement).open = false;
  const used = use(choice);
  // The button that was clicked is hidden now: move the focus, and with it the view, to the progress.
  const cancel = find("load-cancel", HTMLButtonElement);
  (cancel.hidden ? find("models-summary", HTMLElement) : cancel).focus();
  await used;
  if (!engine && !loading && !isDemo(choice)) await use(DEMO, { keepsProblem: true });
}

function pickScene(picture: File, prompts: string[]): void {
  addPictures([picture]);
  suggest([...new Set([DESCRIBE, ...prompts])].slice(0, MOST_SUGGESTIONS));
}

/** Files may be pictures, or a model. */
async function addFiles(files: File[]): Promise<void> {
  const isModel = await Promise.all(files.map((file) => isModelFile(file).catch(() => false)));
  const models = files.filter((_, index) => isModel[index]);
  if (models.length > 0) await addModelFiles(models);
  const others = files.filter((_, index) => !isModel[index]);
  if (others.length > 0) addPictures(others);
}

async function addModelFiles(files: File[]): Promise<void> {
  clearProblem();
  find("models", HTMLDetailsElement).open = true;
  await takeModelFiles(files);
  const load = find("load-files", HTMLButtonElement);
  (load.hidden ? find("model-files", HTMLInputElement) : load).focus();
}

function addPictures(files: File[]): void {
  clearProblem();
  withdrawOffer();
  void adviseOn(files).catch(() => undefined);
  suggest(SUGGESTIONS);
  const atOnce = describeAtOnce.checked && question.value.trim() === "" && !hasAttached() && !running;
  for (const file of files) attach(file, file.name);
  if (!atOnce) return question.focus();
  beginNewTopic();
  void submit(DESCRIBE);
}

/** Explains the demo model to users who give it a photograph. */
async function adviseOn(files: File[]): Promise<void> {
  const isForDemo = () => current !== null && isDemo(current);
  if (isForDemo() && (await hasPhotograph(files)) && isForDemo()) await offerModel((choice) => void choose(choice));
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
  const messages = ask(text, pictures, fullDetail.checked ? "high" : "auto");
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

/** Streams one answer into the page. If the user stops it, the text so far stays. */
async function stream(engine: Engine, messages: ChatMessage[], answer: Answer, signal: AbortSignal): Promise<void> {
  const stopwatch = new Stopwatch();
  try {
    const chunks = await engine.chat.completions.create(
      { messages, stream: true, stream_options: { include_usage: true }, temperature: 0, max_tokens: MAX_TOKENS, truncation: "auto" },
      {
        signal,
        onProgress: (event) => {
          if (event.kind === "note") answer.note(event.message);
          else if (event.kind === "recovering") answer.showStage("The graphics device was reset; the answer continues in a moment …");
          else if (event.kind === "picture") answer.showStage(`Looking at the picture at ${event.width} × ${event.height} pixels …`);
          else if (event.kind === "truncated") answer.note("The oldest questions were left out: the conversation is too long.");
          else if (event.stage === "prefill") answer.showStage("Reading the question …");
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
  find("interrupted", HTMLElement).hidden = loading !== null;
  for (const suggestion of document.querySelectorAll<HTMLButtonElement>("#suggestions button")) suggestion.disabled = busy;
}

function listen(): void {
  listenForFiles((files) => void addFiles(files));
  listenForModelFiles(
    (files) => void addModelFiles(files),
    (gguf, mmproj) => void choose({ name: gguf.name, source: mmproj ? { gguf, mmproj } : { gguf } }),
  );
  find("own-address", HTMLFormElement).addEventListener("submit", (event) => {
    event.preventDefault();
    const [model, mmproj] = [find("own-model", HTMLInputElement).value, find("own-mmproj", HTMLInputElement).value];
    const isFile = /\.gguf($|[?#])/i.test(model);
    const source = isFile ? (mmproj ? { gguf: model, mmproj } : { gguf: model }) : { safetensors: model };
    void choose({ name: nameOf(source), source });
  });
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
showCurrent(DEMO);
void start();
