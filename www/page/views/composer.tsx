/** The next question: its pictures, its words, and ways to give pictures. */
import type { Signal } from "@preact/signals";
import type { Detail } from "../../src/index.js";
import { canShareScreen, canUseCamera } from "../pictures/capture.js";
import { underway } from "../state/answer.js";
import { openDialog } from "../state/dialog.js";
import { current } from "../state/engine.js";
import { lookSeconds } from "../state/look.js";
import { pictures } from "../state/pictures.js";
import { addFiles, addScreenshot, editLast, startTask, submit, suggestions } from "../state/session.js";
import { describesAtOnce, look } from "../state/settings.js";
import { chosenTask, tasks } from "../state/tasks.js";
import { attached, detach, edited, questionText, takeQuestion } from "../state/tray.js";
import type { PictureName } from "../store/schema.js";
import { words } from "../words/index.js";
import { shortcut } from "./keys.js";
import { SentTo } from "./sent-to.js";
import { PictureButton } from "./thumbnail.js";

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
      <Tasks />
      <SentTo server={current.value?.server} />
      <label for="question">{words.question.label}</label>
      <Question />
      <div class="actions">
        <p id="keys">
          <kbd>Enter</kbd>
          {words.question.enter}
          <kbd>Shift</kbd>+<kbd>Enter</kbd>
          {words.question.shiftEnter}
          <kbd>Esc</kbd>
          {words.question.escape}{" "}
          <button type="button" class="quiet" id="show-keys" {...shortcut("?")} onClick={() => openDialog({ kind: "keys" })}>
            {words.settings.keys}
          </button>
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
          accept="image/*,video/*"
          multiple
          onChange={({ currentTarget }) => {
            addFiles(Array.from(currentTarget.files ?? []));
            currentTarget.value = "";
          }}
        />
        <label class="button" for="files" {...shortcut("u")}>
          {words.question.choose}
        </label>
        {canUseCamera && (
          <button type="button" id="camera" onClick={() => openDialog({ kind: "camera" })}>
            {words.question.camera}
          </button>
        )}
        {canShareScreen && (
          <button type="button" id="screenshot" onClick={() => void addScreenshot()}>
            {words.question.screenshot}
          </button>
        )}
        <Switch id="describe-at-once" setting={describesAtOnce} label={words.question.atOnce} />
        <Look />
      </div>
    </form>
  );
}

function Tasks() {
  const chosen = chosenTask.value;
  return (
    <>
      <fieldset class="suggestions" id="suggestions" hidden={edited.value !== null} disabled={underway.value !== null}>
        <legend class="visually-hidden">{words.tasks.label}</legend>
        {suggestions.value.map((text) => (
          <button key={text} type="button" class="suggestion" onClick={() => void submit(text)}>
            {text}
          </button>
        ))}
        {tasks.value.map((task) => (
          <button
            key={task.id}
            type="button"
            class="suggestion task"
            data-task={task.id}
            aria-pressed={chosen?.id === task.id}
            onClick={() => void startTask(task)}
          >
            {task.name}
          </button>
        ))}
        <button type="button" class="suggestion quiet" id="new-task" onClick={() => openDialog({ kind: "task", task: null })}>
          {words.tasks.own}
        </button>
      </fieldset>
      {chosen && <p class="note">{words.tasks.chosen(chosen.name)}</p>}
    </>
  );
}

/** The size at which pictures are seen, with the time that it takes where that is known. */
function Look() {
  const seconds = lookSeconds.value;
  return (
    <label class="look">
      {words.question.look}
      <select
        id="look"
        value={look.value}
        onChange={(event) => {
          look.value = event.currentTarget.value as Detail;
        }}
      >
        {(["low", "auto", "high"] as const).map((each) => {
          const [name, time] = [words.question.looks[each], seconds[each]];
          return (
            <option key={each} value={each}>
              {time === undefined ? name : words.question.seconds(name, time)}
            </option>
          );
        })}
      </select>
    </label>
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
      {...shortcut("/")}
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
          <PictureButton picture={picture} />
          <button type="button" class="remove" aria-label={words.question.remove(picture.name)} onClick={() => detach(picture)}>
            ✕
          </button>
          {isUnreadableHeic(picture) && <p class="note">{words.question.heic}</p>}
        </li>
      ))}
    </ul>
  );
}

/** Only some browsers read the format of Apple's photographs. */
function isUnreadableHeic({ id, name }: PictureName): boolean {
  return /\.hei[cf]$/i.test(name) && pictures.value.get(id)?.width === 0;
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
