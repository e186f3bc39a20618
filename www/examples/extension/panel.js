/** Does what was chosen in a menu for the tab of this panel, and shows the result. Closing the panel ends it. */
import { ask } from "./model.js";
import { missing, placeOf, put, read } from "./pictures.js";

const key = `job-${new URLSearchParams(location.search).get("tab")}`;
const part = (id) => document.getElementById(id);
const answer = part("answer");
let current = null;
let running = new AbortController();

part("copy").addEventListener("click", () => navigator.clipboard.writeText(answer.textContent));
part("put").addEventListener("click", () => put(current, answer.textContent, true));
part("again").addEventListener("click", () => run(current));
part("stop").addEventListener("click", () => running.abort());
part("allow").addEventListener("click", async () => {
  if (await chrome.permissions.request({ origins: ["https://*/*", "http://*/*"] })) await run(current);
});
chrome.storage.session.onChanged.addListener((changes) => changes[key]?.newValue && take());
void take();

/** Takes the job that the service worker has left, if there is one. */
async function take() {
  const { [key]: job } = await chrome.storage.session.get(key);
  if (!job) return;
  await chrome.storage.session.remove(key);
  await run(job);
}

async function run(job) {
  running.abort();
  running = new AbortController();
  const { signal } = running;
  current = job;
  answer.textContent = "";
  answer.dataset.state = "busy";
  for (const id of ["picture", "screen", "copy", "put", "again"]) part(id).hidden = true;
  part("stop").hidden = false;
  let state = "done";
  try {
    const stopped = new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    await Promise.race([job.kind === "fill" ? fill(job, signal) : describe(job, signal), stopped]);
  } catch (error) {
    state = signal.aborted ? "stopped" : "failed";
    if (!signal.aborted) answer.textContent = error.message;
  }
  // Another job may have begun meanwhile.
  if (signal !== running.signal) return;
  answer.dataset.state = state;
  part("stop").hidden = true;
  part("again").hidden = false;
}

async function describe(job, signal) {
  const { picture, isCut } = await read(job);
  signal.throwIfAborted();
  part("picture").src = picture;
  part("picture").hidden = false;
  part("screen").hidden = !isCut;
  if (job.kind === "alt") {
    const { text, isDecorative } = await ask({ picture, place: await placeOf(job) }, { signal });
    answer.textContent = isDecorative ? "Perhaps only decoration." : text;
    part("put").hidden = isDecorative;
  } else {
    const onText = (text) => signal.aborted || answer.append(text);
    await ask({ picture, question: "Describe this image." }, { onText, signal });
    part("put").hidden = false;
  }
  part("copy").hidden = false;
}

/** Writes the missing texts one after another. Pictures that fail, or that the model takes for decoration, stay without one. */
async function fill(job, signal) {
  const pictures = await missing(job.tabId);
  let [written, left] = [0, 0];
  const tell = () => {
    answer.textContent = `${written} of ${pictures.length} texts written${left ? `, ${left} left without one` : ""}.`;
  };
  tell();
  for (const found of pictures) {
    signal.throwIfAborted();
    const at = { ...job, ...found };
    const text = await textOf(at, signal);
    if (text && (await put(at, text)) > 0) written++;
    else left++;
    tell();
  }
}

/** The alternative text of a picture; empty if there is none. */
async function textOf(at, signal) {
  try {
    const { picture } = await read(at);
    return (await ask({ picture, place: await placeOf(at) }, { signal })).text;
  } catch (error) {
    signal.throwIfAborted();
    console.warn(at.url, error);
    return "";
  }
}
