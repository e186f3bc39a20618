/** The conversation: what is shown, and the part of it that the model is given. */
import type { ChatMessage, Detail } from "../src/index.js";
import { button, element, find } from "./dom.js";
import { preview, type AttachedPicture } from "./pictures.js";

const log = find("log", HTMLElement);
const underway = find("underway", HTMLElement);
const empty = find("empty", HTMLElement);

/** The messages that the model is given. */
let history: ChatMessage[] = [];
/** Pictures whose object URLs are revoked when the log is cleared. */
let shown: AttachedPicture[] = [];

/** Starts a new conversation below a line; the earlier one stays visible. */
export function beginNewTopic(): void {
  if (history.length > 0) log.append(element("hr", { "aria-label": "New conversation" }));
  history = [];
}

export function clearConversation(): void {
  history = [];
  log.replaceChildren();
  underway.replaceChildren();
  for (const { previewUrl } of shown) URL.revokeObjectURL(previewUrl);
  shown = [];
  empty.hidden = false;
}

/** Shows the question and returns the messages to answer. It becomes part of the history once it is answered. */
export function ask(text: string, pictures: AttachedPicture[], detail: Detail): ChatMessage[] {
  empty.hidden = true;
  shown.push(...pictures);
  const thumbnails = pictures.map(preview);
  const turn = element("article", { class: "turn user" }, element("h3", {}, "You"));
  if (thumbnails.length > 0) turn.append(element("div", { class: "thumbnails" }, ...thumbnails));
  turn.append(element("p", { class: "words" }, text));
  log.append(turn);
  turn.scrollIntoView({ block: "nearest" });
  const parts = pictures.map(({ blob }) => ({ type: "image_url" as const, image_url: { url: blob, detail } }));
  return [...history, { role: "user", content: [...parts, { type: "text", text }] }];
}

/** An answer that is being streamed. */
export class Answer {
  private text = "";
  private readonly words = element("p", { class: "words" });
  private readonly stage = element("p", { class: "stage" }, "Thinking …");
  private readonly turn = element("article", { class: "turn model", "aria-busy": "true" });

  constructor(private readonly asked: ChatMessage[]) {
    this.turn.append(element("h3", {}, "Ocelli"), this.stage, this.words);
    underway.replaceChildren(this.turn);
    this.turn.scrollIntoView({ block: "nearest" });
  }

  showStage(text: string): void {
    this.stage.textContent = text;
    if (!this.stage.isConnected) this.words.after(this.stage);
  }

  /** Adds a note above the answer. */
  note(text: string): void {
    this.words.before(element("p", { class: "note" }, text));
  }

  append(piece: string): void {
    this.stage.remove();
    this.text += piece;
    this.words.append(piece);
  }

  /** Moves the answer into the log, where screen readers read it once, and into the history. */
  finish(remark: string): void {
    this.stage.remove();
    this.words.textContent = this.text.trim();
    const copy = button("Copy", { class: "quiet", "aria-label": "Copy the answer" }, () => {
      void navigator.clipboard.writeText(this.text.trim()).then(() => (copy.textContent = "Copied"));
    });
    this.turn.append(element("div", { class: "turn-foot" }, element("p", { class: "speed" }, remark), copy));
    this.turn.removeAttribute("aria-busy");
    log.append(this.turn);
    history = [...this.asked, { role: "assistant", content: this.text.trim() }];
  }

  /** Removes the answer; the question does not become part of the history. */
  discard(): void {
    this.turn.remove();
  }
}
