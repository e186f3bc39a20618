/** Texts for screen readers about an answer: its sentences as they are finished, or the whole at its end. */
import { announce } from "./announce.js";
import { announces } from "./settings.js";
import { language } from "../words/language.js";

/** Messages that follow each other faster interrupt each other in screen readers. */
const PAUSE_MS = 1500;

export class Speech {
  private text = "";
  private last = Number.NEGATIVE_INFINITY;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly sentences: Intl.Segmenter;

  /** `said`: letters of the answer that were said before, when it is continued. */
  constructor(private said = 0) {
    this.sentences = new Intl.Segmenter(language.value === "xx" ? "en" : language.value, { granularity: "sentence" });
  }

  begin(word: string): void {
    if (announces.value !== "off") this.say(word);
  }

  /** Takes the text of the answer so far. */
  hear(text: string): void {
    if (announces.value !== "sentences" || text.length <= this.said) return;
    this.text = text;
    const wait = this.last + PAUSE_MS - Date.now();
    if (wait <= 0) this.sayFinished();
    else this.timer ??= setTimeout(() => this.sayFinished(), wait);
  }

  /** The answer is over: says what of it was not said, and then `word`. */
  end(text: string, word: string): void {
    clearTimeout(this.timer);
    if (announces.value !== "off") this.say([text.slice(this.said).trim(), word].filter(Boolean).join(" "));
  }

  /** Says all sentences that are followed by another one; the last may still grow. */
  private sayFinished(): void {
    this.timer = undefined;
    const rest = this.text.slice(this.said);
    const parts = [...this.sentences.segment(rest)].map(({ segment }) => segment);
    const finished = parts.slice(0, -1).join("");
    if (finished.trim() === "") return;
    this.said += finished.length;
    this.say(finished.trim());
  }

  private say(text: string): void {
    this.last = Date.now();
    announce(text);
  }
}
