/** The next question: its pictures, its words, and ways to give pictures. */
import { underway } from "../state/answer.js";
import { attached, detach, edited, questionText, takeQuestion } from "../state/tray.js";
import { addFiles, editLast, submit, suggestions } from "../state/session.js";
import { describesAtOnce, isFullDetail } from "../state/settings.js";
import type { Signal } from "@preact/signals";
import { words } from "../words/index.js";
import { Thumbnail } from "./turns.js";

export function Composer() {
  return (
    <form
      class="composer"
      id="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <Tray />
      {edited.value && <Editing />}
      <fieldset class="suggestions" id="suggestions" hidden={edited.value !== null}>
        <legend class="visually-hidden">{words.question.suggestions}</legend>
        {suggestions.value.map((text) => (
          <button key={text} type="button" class="suggestion" disabled={underway.value !== null} onClick={() => void submit(text)}>
            {text}
          </button>
        ))}
      </fieldset>
      <label for="question">{words.question.label}</label>
      <Question />
      <div class="actions">
        <p id="keys">
          <kbd>Enter</kbd>
          {words.question.enter}
          <kbd>Shift</kbd>+<kbd>Enter</kbd>
          {words.question.shiftEnter}
          <kbd>Esc</kbd>
          {words.question.escape}
        </p>
        <button
          type="button"
          class="button"
          id="stop"
          hidden={!underway.value}
          onClick={() => {
            underway.value?.stop();
            document.getElementById("question")?.focus();
          }}
        >
          {words.question.stop}
        </button>
        <button type="submit" class="button primary" id="send" hidden={underway.value !== null}>
          {words.question.send}
        </button>
      </div>
      <div class="drop" id="drop">
        <p>{words.question.drop}</p>
        <input
          type="file"
          id="files"
          accept="image/*"
          multiple
          onChange={({ currentTarget }) => {
            addFiles(Array.from(currentTarget.files ?? []));
            currentTarget.value = "";
          }}
        />
        <label class="button" for="files">
          {words.question.choose}
        </label>
        <Switch id="describe-at-once" setting={describesAtOnce} label={words.question.atOnce} />
        <Switch id="full-detail" setting={isFullDetail} label={words.question.everyDetail} />
      </div>
    </form>
  );
}

function Switch({ id, setting, label }: { id: string; setting: Signal<boolean>; label: string }) {
  return (
    <label class="switch">
      <input
        type="checkbox"
        id={id}
        checked={setting.value}
        onChange={(event) => {
          setting.value = event.currentTarget.checked;
        }}
      />
      {label}
    </label>
  );
}

function Question() {
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "ArrowUp" && questionText.value === "" && !underway.value) {
      event.preventDefault();
      editLast();
    }
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    void submit();
  };
  return (
    <textarea
      id="question"
      rows={2}
      dir="auto"
      autocomplete="off"
      aria-describedby="keys"
      value={questionText.value}
      onInput={(event) => {
        questionText.value = event.currentTarget.value;
      }}
      onKeyDown={onKeyDown}
    />
  );
}

function Tray() {
  return (
    <ul class="tray" id="tray" aria-label={words.question.pictures}>
      {attached.value.map((picture) => (
        <li key={picture.id}>
          <Thumbnail picture={picture} />
          <button type="button" class="remove" aria-label={words.question.remove(picture.name)} onClick={() => detach(picture)}>
            ✕
          </button>
        </li>
      ))}
    </ul>
  );
}

function Editing() {
  return (
    <p class="note">
      {words.question.editing}{" "}
      <button type="button" class="quiet" onClick={() => void takeQuestion()}>
        {words.question.cancelEdit}
      </button>
    </p>
  );
}
