/** Actions of a visitor: to begin, to give files, to ask, to choose a model. */
import { computed, effect, signal } from "@preact/signals-core";
import { packages } from "../../src/index.js";
import type { Message, PictureName } from "../store/schema.js";
import { words } from "../words/index.js";
import { loadActivities } from "./album-start.js";
import { announce } from "./announce.js";
import { addQuestion, loadMeasures, saveAll, stopAll, underway } from "./answer.js";
import { forgetEarlier } from "./computed.js";
import { beginConversation, isTemporary, loadList, messages, open, openConversation, path, tidy } from "./conversation.js";
import { download, type Downloadable } from "./downloads.js";
import { choose as load, engine, listenForEngines, loadFailure, use } from "./engine.js";
import { focusOn } from "./focus.js";
import { loadScenes } from "./gallery.js";
import { answerOrHold, held, letGo, loadHeld, release, wantModel } from "./held.js";
import { listenForLaunches } from "./inbox.js";
import { linkedChoice } from "./link.js";
import { listenForLooks } from "./look.js";
import { openDialog } from "./dialog.js";
import { DEMO, isDemo, keyOf, savedChoice, type Choice } from "./model-choice.js";
import { forgetModelFiles, isModelFile, modelFiles, takeModelFiles } from "./model-files.js";
import { refreshModels } from "./models.js";
import { keepForOffline } from "./offline.js";
import { takePicture } from "./pictures.js";
import { clearProblem, showProblem } from "./problem.js";
import { listenForRequests } from "./requests.js";
import { go, listenForRoutes, rename, route, type Route } from "./route.js";
import { forgetServer, isServed, keptServer, type Server } from "./server.js";
import { describesAtOnce, keepsConversations, loadSettings } from "./settings.js";
import { shownPictures } from "./shown.js";
import { chosenTask, describe, tasks, type Task } from "./tasks.js";
import { attach, attached, edited, givenConversations, questionText, takeQuestion } from "./tray.js";

const MOST_SUGGESTIONS = 3;

/** Questions that suit the example that was picked. */
export const suggestions = signal<readonly string[]>([]);

/** True if a question would be about a picture. */
const hasPicture = computed(() => attached.value.length > 0 || shownPictures.value.length > 0);

export async function start(): Promise<void> {
  listenForEngines(() => void becomeReady(), stopAll);
  if (!isServed) void loadScenes(new URL("gallery/", DEMO.source as string)).catch(() => undefined);
  await loadSettings();
  listenForLooks();
  listenForRequests();
  listenForLaunches(addFiles);
  effect(() => {
    const keeps = keepsConversations.value;
    if (open.peek().leaf === null) isTemporary.value = !keeps;
  });
  const opened = openFirst();
  const linked = await linkedChoice();
  const server = linked ? null : serverChoice();
  const last = linked || server ? null : await savedChoice();
  await opened;
  if (!(await use(linked ?? server ?? last ?? DEMO, { isLinked: linked !== null })) && last && !engine.value)
    await use(DEMO, { keepsProblem: true });
  if (!server) void refreshModels();
  await resumeWanted();
  await tidy(new Set());
}

/** The model of the server that answers in place of this device. */
function serverChoice(): Choice | null {
  const server = keptServer();
  return server && choiceOf(server);
}

function choiceOf(server: Server): Choice {
  return { name: server.model || server.address, source: server.address, server };
}

/** Lets a server answer from now on. */
export async function chooseServer(server: Server): Promise<void> {
  await load(choiceOf(server));
}

/** Lets this device answer again. */
export async function leaveServer(): Promise<void> {
  await choose((await savedChoice()) ?? DEMO);
}

/** Reads what was kept, and opens the conversation that the address names. */
async function openFirst(): Promise<void> {
  await Promise.all([loadList(), loadHeld(), loadMeasures()]);
  void loadActivities();
  const first = route.value;
  if (first.view === "conversation" && first.id !== null) await show(first);
  listenForRoutes((next) => void show(next));
  effect(nameOpen);
}

/** Names the open conversation in the address, once it is kept. The address alone changes nothing here: it may lead to another one. */
function nameOpen(): void {
  const { id, leaf } = open.value;
  const at = route.peek();
  if (at.view === "conversation" && leaf !== null && !isTemporary.value && at.id !== id) rename({ view: "conversation", id });
}

async function show(next: Route): Promise<void> {
  if (next.view !== "conversation") return;
  if (next.id === null) {
    // The address of no conversation in particular: the open one.
    nameOpen();
  } else if (!(await openConversation(next.id))) {
    rename({ view: "conversation", id: null });
    announce(words.conversations.gone);
  } else clearProblem();
}

/** Opens or closes the list of models. */
export function showModels(isShown: boolean): void {
  const id = open.value.leaf === null || isTemporary.value ? null : open.value.id;
  if (isShown !== (route.value.view === "models")) go(isShown ? { view: "models" } : { view: "conversation", id });
}

async function becomeReady(): Promise<void> {
  forgetModelFiles();
  forgetEarlier();
  if (!isServed) {
    // Only now, so that the model's download does not wait for the page's own files.
    void keepForOffline().catch(() => undefined);
    void refreshModels();
  }
  await release();
}

/** A download that was chosen for a question of an earlier visit. */
async function resumeWanted(): Promise<void> {
  const wanted = held.value?.wants;
  if (!wanted || held.value?.reason !== "photograph" || !engine.value) return;
  if (typeof wanted.source === "string") await load({ name: wanted.name, source: wanted.source });
  else await get({ name: wanted.name, source: wanted.source as unknown as Downloadable["source"] });
}

/** Loads the model that the user chose. */
export async function choose(choice: Choice): Promise<void> {
  forgetServer();
  void packages.requestPersistence().catch(() => false);
  showModels(false);
  const loaded = load(choice);
  // The button that was clicked is hidden now: the focus, and with it the view, moves to the progress.
  focusOn(isDemo(choice) ? "models-summary" : "load-cancel");
  await loaded;
  focusOn("question");
  void refreshModels();
}

/** Downloads a model while the present one stays in use. It is used then only if a held question waits for it. */
export async function get(model: Downloadable): Promise<void> {
  void packages.requestPersistence().catch(() => false);
  const source = await download(model);
  const wanted = held.value?.wants;
  if (source !== null && wanted && keyOf(wanted.source) === keyOf(model.source)) await load({ name: model.name, source });
}

/** Downloads a model that sees photographs, which answers the held question then. */
export function getForHeld(model: Downloadable, isStored: boolean): void {
  wantModel(model);
  if (isStored) void choose(model);
  else void get(model);
}

export function newConversation(): void {
  beginConversation();
  takeQuestion();
  [suggestions.value, chosenTask.value] = [[], null];
  rename({ view: "conversation", id: null });
  clearProblem();
  announce(words.conversations.begun);
  focusOn("question");
}

/** Files are taken one after another, so that the order of giving them decides. */
let turn: Promise<void> = Promise.resolve();

/** Takes files, which may be pictures, a model or saved conversations. */
export function addFiles(files: readonly File[]): void {
  suggestions.value = [];
  clearProblem();
  const video = files.find(({ type }) => type.startsWith("video/"));
  if (video) return openDialog({ kind: "video", file: video });
  const saved = files.find(({ name }) => /\.(json|zip)$/i.test(name));
  if (saved) {
    givenConversations.value = saved;
    go({ view: "settings", section: "data" });
  }
  const others = files.filter((file) => file !== saved);
  if (others.length > 0) turn = turn.then(() => sortFiles(others)).catch(showProblem);
}

/** Takes an example with its questions. */
export function addScene(file: File, prompts: readonly string[]): void {
  addFiles([file]);
  suggestions.value = [...new Set(prompts)].filter((prompt) => tasks.value.every(({ instruction }) => instruction !== prompt));
  suggestions.value = suggestions.value.slice(0, MOST_SUGGESTIONS);
}

async function sortFiles(files: readonly File[]): Promise<void> {
  const isModel = await Promise.all(files.map((file) => isModelFile(file).catch(() => false)));
  const models = files.filter((_, index) => isModel[index]);
  if (models.length > 0) await addModelFiles(models);
  const others = files.filter((_, index) => !isModel[index]);
  if (others.length > 0) await addPictures(others);
}

/** Adds a picture of the screen, if the user shares one. */
export async function addScreenshot(): Promise<void> {
  try {
    const { takeScreenshot } = await import("../pictures/pixels.js");
    const file = await takeScreenshot(words.question.screenshotName);
    if (file) addFiles([file]);
  } catch (thrown) {
    showProblem(thrown, words.question.screenshotName);
  }
}

export async function addModelFiles(files: readonly File[]): Promise<void> {
  clearProblem();
  showModels(true);
  await takeModelFiles(files);
  focusOn(modelFiles.value.text ? "load-files" : "model-files");
}

/** Attaches pictures, and describes them at once if nothing else is being asked. */
async function addPictures(files: readonly File[]): Promise<void> {
  const taken: PictureName[] = [];
  for (const file of files) taken.push(await takePicture(file, isTemporary.value));
  const isAlone = attached.value.length === 0 && questionText.value.trim() === "" && !underway.value;
  for (const picture of taken) attach(picture);
  const task = chosenTask.value;
  chosenTask.value = null;
  if (isAlone && task) await startTask(task, { isTopic: true });
  else if (isAlone && describesAtOnce.value) await submit(describe.value.instruction, { isTopic: true, task: describe.value });
  else focusOn("question");
}

/** Does a task with the pictures of the question or of the conversation; without any, with the next ones. */
export async function startTask(task: Task, { isTopic = false } = {}): Promise<void> {
  if (underway.value) return;
  if (!hasPicture.value) {
    chosenTask.value = chosenTask.value?.id === task.id ? null : task;
    if (chosenTask.value) announce(words.tasks.chosen(task.name));
  } else if (task.needs) openDialog({ kind: task.needs });
  else await askTask(task, { isTopic });
}

/** Asks for a task whose instruction is complete. What is written in the question is added to it. */
export async function askTask(task: Task, { isTopic = false } = {}): Promise<void> {
  const text = [task.instruction, edited.value ? "" : questionText.value.trim()].filter(Boolean).join("\n\n");
  await submit(text, { isTopic, task });
}

/** Circumstances of a question. */
interface Asking {
  /** It begins a topic: it is answered without what is above. */
  isTopic?: boolean;
  task?: Task | null;
  /** Its pictures, in place of those of the tray. */
  pictures?: readonly PictureName[] | null;
}

/** Asks the question that is written, or `text`. Resolves once the question is kept and the answer has begun. */
export async function submit(
  text = questionText.value.trim(),
  { isTopic = false, task = null, pictures: given = null }: Asking = {},
): Promise<void> {
  if (underway.value) return;
  const isBare = !text && attached.value.length > 0 && !edited.value;
  if (isBare) return submit(describe.value.instruction, { isTopic, task: describe.value });
  if (!text) return;
  const replaces = messages.value.get(edited.value ?? "") ?? null;
  const pictures = takeQuestion();
  clearProblem();
  const question = await addQuestion(text, given ?? pictures, { isTopic, replaces, task });
  void answerOrHold(question);
  if (!engine.value && loadFailure.value) showProblem(loadFailure.value);
}

/** Puts a question back where it is written, to be changed. */
export function edit(question: Message): void {
  takeQuestion();
  questionText.value = question.text;
  for (const picture of question.pictures) attach(picture);
  edited.value = question.id;
  focusOn("question");
}

/** Edits the last question that is shown. */
export function editLast(): void {
  const last = path.value.findLast(({ role }) => role === "user");
  if (last && questionText.value === "" && attached.value.length === 0) edit(last);
}

/** Answers a question that has none, or whose answer failed. */
export async function retry(question: Message): Promise<void> {
  clearProblem();
  if (held.value?.question === question.id) letGo();
  await answerOrHold(question);
}

/** Keeps what is written when the page ends. */
export function listenForEnd(): void {
  addEventListener("pagehide", saveAll);
  addEventListener("visibilitychange", saveAll);
}
