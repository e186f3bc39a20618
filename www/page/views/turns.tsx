/** Questions and finished answers. */
import { useState } from "preact/hooks";
import { answerAgain, continueAnswer, underway } from "../state/answer.js";
import { deleteMessage, messages, showVersion } from "../state/conversation.js";
import { openDialog } from "../state/dialog.js";
import { edit, retry } from "../state/session.js";
import { versionsOf } from "../state/tree.js";
import type { Message } from "../store/schema.js";
import { words } from "../words/index.js";
import { look } from "./lazy.js";
import { shortcut } from "./keys.js";
import { Markdown } from "./markdown.js";
import { adviceOf } from "./problem.js";
import { PictureButton } from "./thumbnail.js";

export function QuestionTurn({ message }: { message: Message }) {
  return (
    <article class="turn user" tabIndex={-1}>
      <h3>{words.answer.you}</h3>
      {message.pictures.length > 0 && (
        <div class="thumbnails">
          {message.pictures.map((picture) => (
            <PictureButton key={picture.id} picture={picture} />
          ))}
        </div>
      )}
      <p class="words" dir="auto">
        {message.text}
      </p>
      <div class="turn-foot">
        <Versions message={message} />
        <button type="button" class="quiet" disabled={underway.value !== null} {...shortcut("e")} onClick={() => edit(message)}>
          {words.answer.edit}
        </button>
        <Delete message={message} />
      </div>
    </article>
  );
}

const Structured = look(
  (module) => module.Structured,
  ({ message }) => <pre>{message.text}</pre>,
);

export function AnswerTurn({ message }: { message: Message }) {
  const question = messages.value.get(message.parent ?? "");
  const { end, notes, text, thoughts } = message;
  return (
    <article class="turn model" tabIndex={-1} data-end={end ?? "interrupted"}>
      <h3>{words.answer.name}</h3>
      {notes.map((note) => (
        <p class="note" key={note}>
          {note}
        </p>
      ))}
      {thoughts && (
        <details class="thoughts">
          <summary>{words.answer.thoughts}</summary>
          <p dir="auto">{thoughts}</p>
        </details>
      )}
      <div class="words" dir="auto">
        {message.format ? <Structured message={message} question={question} /> : <Markdown text={text} />}
      </div>
      <EndLine message={message} />
      <div class="turn-foot">
        <Copy text={text} />
        <button type="button" class="quiet" disabled={underway.value !== null} {...shortcut("r")} onClick={() => void answerAgain(message)}>
          {words.answer.again}
        </button>
        <Versions message={message} />
        <Delete message={message} />
      </div>
      <Details message={message} />
    </article>
  );
}

/** Why an answer ended before its end, and a way to continue it. */
function EndLine({ message }: { message: Message }) {
  const { end } = message;
  if (end === "stop") return null;
  const why = end === "length" ? words.answer.cut : end === "stopped" ? words.answer.stopped : words.answer.interrupted;
  return (
    <p class="note end">
      {why} {/* A format begins anew, so an answer in one cannot be continued. */}
      {message.text && !message.format && (
        <button type="button" class="quiet" disabled={underway.value !== null} onClick={() => void continueAnswer(message)}>
          {words.answer.continue}
        </button>
      )}
    </p>
  );
}

/** A question without an answer. */
export function Unanswered({ question, answer = null }: { question: Message; answer?: Message | null }) {
  const { title, next } = answer?.error ? adviceOf(answer.error) : { title: words.answer.failed, next: "" };
  return (
    <div class="turn unanswered">
      <p>
        {title} {next}
      </p>
      <button type="button" class="quiet" disabled={underway.value !== null} onClick={() => void retry(question)}>
        {words.answer.retry}
      </button>
      {answer?.error?.code === "unsupported-schema" && (
        <button type="button" class="quiet" onClick={() => openDialog({ kind: "fields" })}>
          {words.tasks.changeFields}
        </button>
      )}
    </div>
  );
}

function Copy({ text }: { text: string }) {
  const [isCopied, setCopied] = useState(false);
  const copy = () => void navigator.clipboard.writeText(text).then(() => setCopied(true));
  return (
    <button type="button" class="quiet" aria-label={words.answer.copyAnswer} {...shortcut("y")} onClick={copy}>
      {isCopied ? words.answer.copied : words.answer.copy}
    </button>
  );
}

/** Versions of a message, one after another. */
function Versions({ message }: { message: Message }) {
  const versions = versionsOf(message, messages.value);
  if (versions.length < 2) return null;
  const at = versions.findIndex(({ id }) => id === message.id);
  const step = (by: number, label: string, sign: string) => {
    const other = versions[at + by];
    return (
      <button
        type="button"
        class="quiet"
        aria-label={label}
        {...shortcut(sign === "‹" ? "[" : "]")}
        disabled={!other || underway.value !== null}
        onClick={() => other && showVersion(other)}
      >
        {sign}
      </button>
    );
  };
  return (
    <span class="versions">
      {step(-1, words.answer.earlier, "‹")}
      <span>{words.answer.version(at + 1, versions.length)}</span>
      {step(1, words.answer.later, "›")}
    </span>
  );
}

function Delete({ message }: { message: Message }) {
  return (
    <button
      type="button"
      class="quiet"
      disabled={underway.value !== null}
      onClick={() => deleteMessage(message, words.conversations.removed)}
    >
      {words.answer.delete}
    </button>
  );
}

/** Measured facts about an answer. */
function Details({ message: { model, seed, usage } }: { message: Message }) {
  if (!usage) return null;
  const { prepare_ms = 0, vision_ms = 0, prefill_ms = 0, decode_ms = 0, pictures: shown = [] } = usage.ocelli ?? {};
  const lines = [
    model && words.answer.model(model.name),
    ...shown.map(({ width, height, tokens }) => words.answer.shown(width, height, tokens)),
    words.answer.prompt(usage.prompt_tokens, usage.prompt_tokens_details?.cached_tokens ?? 0),
    words.answer.length(usage.completion_tokens),
    decode_ms > 0 && words.answer.speed(prepare_ms + vision_ms + prefill_ms, (1000 * Math.max(0, usage.completion_tokens - 1)) / decode_ms),
    seed !== null && words.answer.seed(seed),
  ].filter((line) => typeof line === "string");
  return (
    <details class="details">
      <summary>{words.answer.details}</summary>
      <ul>
        {lines.map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
    </details>
  );
}
