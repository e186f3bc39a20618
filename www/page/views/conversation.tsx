/** A conversation: its questions and answers, and the place of the next question. */
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { underway, type Stage } from "../state/answer.js";
import { isTemporary, open, path } from "../state/conversation.js";
import { current } from "../state/engine.js";
import { fileOf, scenes } from "../state/gallery.js";
import { held } from "../state/held.js";
import { isDemo } from "../state/model-choice.js";
import { addressOf } from "../state/route.js";
import { addScene, newConversation } from "../state/session.js";
import type { Message } from "../store/schema.js";
import { words } from "../words/index.js";
import { Composer } from "./composer.js";
import { focused } from "./dom.js";
import { shortcut } from "./keys.js";
import { Markdown } from "./markdown.js";
import { HeldCard } from "./models.js";
import { AnswerTurn, QuestionTurn, Unanswered } from "./turns.js";

export function Conversation() {
  const running = underway.value;
  const shown = path.value.filter(({ id }) => id !== running?.message.id);
  useKeptFocus();
  return (
    <section class="talk" aria-labelledby="talk-heading">
      <div class="talk-head">
        <h2 id="talk-heading" dir="auto">
          {open.value.title || words.conversations.untitled}
        </h2>
        <label class="switch" title={words.conversations.temporaryHelp} hidden={shown.length > 0 && !isTemporary.value}>
          <input
            type="checkbox"
            id="temporary"
            checked={isTemporary.value}
            disabled={shown.length > 0}
            onChange={(event) => {
              isTemporary.value = event.currentTarget.checked;
            }}
          />
          {words.conversations.temporary}
        </label>
        <button type="button" class="quiet" id="new-conversation" {...shortcut("n")} onClick={newConversation}>
          {words.conversations.begin}
        </button>
      </div>
      <Empty isShown={shown.length === 0 && !running} />
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolled region must be reachable by the keyboard. */}
      <div class="log" id="log" role="log" aria-live="off" aria-labelledby="talk-heading" tabIndex={0}>
        {shown.map((message, index) => (
          <Turn key={message.id} message={message} before={shown.slice(0, index)} isLast={index === shown.length - 1 && !running} />
        ))}
      </div>
      {/* Screen readers are told of answers by the announcer, in sentences and not word by word. */}
      <div class="log" id="underway">
        {running && <UnderwayTurn key={running.message.id} />}
      </div>
      <Composer />
    </section>
  );
}

/** Gives the focus of a button that an answer has hidden to the question; that of a disabled one to the turns. */
function useKeptFocus(): void {
  const keep = () => {
    const [lost] = focused;
    if (lost?.matches("#composer button[hidden]")) document.getElementById("question")?.focus();
    else if (lost?.matches(underway.value ? ":disabled, #suggestions *" : ":disabled")) {
      document.getElementById("log")?.focus({ preventScroll: true });
    }
  };
  useLayoutEffect(() => {
    keep();
    // After the other parts of the view have changed.
    requestAnimationFrame(keep);
  });
}

function Turn({ message, before, isLast }: { message: Message; before: readonly Message[]; isLast: boolean }) {
  if (message.role === "user") {
    const isHeld = held.value?.question === message.id;
    return (
      <>
        {message.isTopic && <hr aria-label={words.answer.topic} />}
        <QuestionTurn message={message} />
        {isHeld ? <HeldCard /> : isLast && <Unanswered question={message} />}
      </>
    );
  }
  const last = before.findLast(({ role, model }) => role === "assistant" && model !== null);
  const isOther = last && message.model && last.model?.name !== message.model.name;
  return (
    <>
      {isOther && <p class="from-here">{words.answer.fromHere(message.model?.name ?? "")}</p>}
      {message.end === "failed" ? <Unanswered question={before.at(-1) ?? message} answer={message} /> : <AnswerTurn message={message} />}
    </>
  );
}

/** The first view, and examples for the demo model. */
function Empty({ isShown }: { isShown: boolean }) {
  const isOfDemo = current.value === null || isDemo(current.value);
  return (
    <div class="empty" id="empty" hidden={!isShown}>
      <h3>{words.empty.heading}</h3>
      <p>{words.empty.answers}</p>
      <p class="scope" id="demo-scope" hidden={!isOfDemo}>
        {words.empty.demo} <a href={addressOf({ view: "models" })}>{words.empty.seeModels}</a>
      </p>
      <div id="gallery-section" hidden={!isOfDemo || scenes.value.length === 0}>
        <h4 id="gallery-heading">{words.empty.examples}</h4>
        <ul class="gallery" id="gallery" aria-labelledby="gallery-heading">
          {isShown &&
            scenes.value.map((scene) => (
              <li key={scene.file}>
                <button type="button" onClick={() => void fileOf(scene).then((file) => addScene(file, scene.prompts))}>
                  <img src={scene.url} alt={scene.alt} width="112" height="112" loading="lazy" />
                </button>
              </li>
            ))}
        </ul>
      </div>
    </div>
  );
}

/** The answer that is being written. */
function UnderwayTurn() {
  const turn = useRef<HTMLElement>(null);
  useEffect(() => turn.current?.scrollIntoView({ block: "nearest" }), []);
  const running = underway.value;
  if (!running) return null;
  const { message, notes, stage, text, thoughts } = running;
  return (
    <article class="turn model" aria-busy="true" ref={turn}>
      <h3>{words.answer.name}</h3>
      {[...message.notes, ...notes.value].map((note) => (
        <p class="note" key={note}>
          {note}
        </p>
      ))}
      {thoughts.value && (
        <details class="thoughts" open={text.value === ""}>
          <summary>{words.answer.thoughts}</summary>
          <p dir="auto">{thoughts}</p>
        </details>
      )}
      <div class="words" dir="auto">
        {message.format ? text.value && <pre>{text}</pre> : <Markdown text={text.value} />}
      </div>
      {stage.value && <StageLine stage={stage.value} />}
    </article>
  );
}

function StageLine({ stage }: { stage: Stage }) {
  const text = textOf(stage);
  const done = stage.kind === "picture" || stage.kind === "reading" ? stage.done : 0;
  return (
    <p class="stage">
      {text} {done > 0 && <progress aria-label={text} value={done} />}
    </p>
  );
}

function textOf(stage: Stage): string {
  switch (stage.kind) {
    case "waiting":
      return words.answer.thinking;
    case "picture":
      return words.answer.picture(stage.picture, stage.of, stage.width, stage.height);
    case "reading":
      return words.answer.reading;
    case "recovering":
      return words.answer.recovering;
  }
}
