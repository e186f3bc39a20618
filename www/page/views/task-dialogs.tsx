/** Dialogs of tasks that need more than a picture, and of tasks that the user makes. */
import { useState } from "preact/hooks";
import { closeDialog, openDialog } from "../state/dialog.js";
import { TEMPLATES, type Schema } from "../state/fields.js";
import { formatOf, instructionOf, type Shape } from "../state/find.js";
import { askTask, submit } from "../state/session.js";
import { lastFields, lastFind, lastRules, ownTasks } from "../state/settings.js";
import { dropTask, keepTask, tasks, type Needs, type Task } from "../state/tasks.js";
import { attached } from "../state/tray.js";
import { shownPictures } from "../state/shown.js";
import type { OwnTask, PictureName } from "../store/schema.js";
import { words } from "../words/index.js";
import { lookWords } from "../words/looks.js";
import { editedOf, FieldsEditor, schemaIn } from "./fields.js";
import { Modal } from "./modal.js";
import { newId } from "../store/id.js";
import { Thumbnail } from "./thumbnail.js";

/** Asks for the task that needs `needs`, with what the dialog has told. */
function ask(needs: Needs, more: Partial<Task>): void {
  const task = tasks.value.find((each) => each.needs === needs);
  closeDialog();
  if (task) void askTask({ ...task, ...more });
}

export function FieldsDialog() {
  const [edited, setEdited] = useState(() => editedOf(lastFields.value ?? TEMPLATES.receipt));
  const schema = schemaIn(edited.json);
  const start = () => {
    if (!schema) return;
    lastFields.value = schema;
    ask("fields", { format: schema });
  };
  return (
    <Modal id="fields-dialog" heading={lookWords.fields.heading} first="fields-template">
      <p class="fine">{lookWords.fields.about}</p>
      <FieldsEditor edited={edited} onChange={setEdited} />
      <div class="choices">
        <button type="button" class="primary" id="fields-start" disabled={!schema} onClick={start}>
          {lookWords.fields.start}
        </button>
      </div>
    </Modal>
  );
}

export function RulesDialog() {
  const [rules, setRules] = useState(lastRules.value);
  const lines = rules.split("\n").filter((line) => line.trim() !== "");
  const start = () => {
    lastRules.value = rules;
    const instruction = [words.tasks.all.rules.instruction, ...lines.map((line, at) => `${at + 1}. ${line.trim()}`)].join("\n");
    ask("rules", { instruction });
  };
  return (
    <Modal id="rules-dialog" heading={lookWords.rules.heading} first="rules">
      <label>
        {lookWords.rules.label}
        <textarea
          id="rules"
          rows={5}
          dir="auto"
          placeholder={lookWords.rules.example}
          value={rules}
          onInput={(event) => setRules(event.currentTarget.value)}
        />
      </label>
      <div class="choices">
        <button type="button" class="primary" id="rules-start" disabled={lines.length === 0} onClick={start}>
          {lookWords.rules.start}
        </button>
      </div>
    </Modal>
  );
}

export function FindDialog() {
  const [what, setWhat] = useState(lastFind.value);
  const [shape, setShape] = useState<Shape>("box");
  const pictures = attached.value.length > 0 ? attached.value : shownPictures.value;
  const [picture, setPicture] = useState<PictureName | undefined>(pictures.at(-1));
  const start = () => {
    const named = what
      .split(",")
      .map((each) => each.trim())
      .filter(Boolean)
      .join(", ");
    const task = tasks.value.find((each) => each.needs === "find");
    if (!task || !picture || !named) return;
    lastFind.value = what;
    closeDialog();
    const instruction = instructionOf(named, shape);
    // Places are those of one picture, so the model sees no other.
    void submit(instruction, { isTopic: true, task: { ...task, format: formatOf(shape) }, pictures: [picture] });
  };
  return (
    <Modal id="find-dialog" heading={lookWords.find.heading} first="find-what">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          start();
        }}
      >
        <label>
          {lookWords.find.label}
          <input
            id="find-what"
            dir="auto"
            placeholder={lookWords.find.example}
            value={what}
            onInput={(event) => setWhat(event.currentTarget.value)}
          />
        </label>
        <div class="choices">
          {(["box", "point"] as const).map((each) => (
            <label key={each} class="switch">
              <input type="radio" name="shape" checked={shape === each} onChange={() => setShape(each)} />
              {each === "box" ? lookWords.find.boxes : lookWords.find.points}
            </label>
          ))}
        </div>
        {pictures.length > 1 && (
          <fieldset class="which">
            <legend>{lookWords.find.picture}</legend>
            {pictures.map((each) => (
              <label key={each.id}>
                <input type="radio" name="picture" checked={picture?.id === each.id} onChange={() => setPicture(each)} />
                <Thumbnail picture={each} />
              </label>
            ))}
          </fieldset>
        )}
        <button type="submit" class="primary" id="find-start" disabled={what.trim() === ""}>
          {lookWords.find.start}
        </button>
      </form>
    </Modal>
  );
}

/** Numbers of tokens to choose as the longest answer. */
const LONGEST = [60, 120, 250, 500, 1000, 2000];

export function OwnTaskDialog({ task }: { task: OwnTask | null }) {
  const [name, setName] = useState(task?.name ?? "");
  const [instruction, setInstruction] = useState(task?.instruction ?? "");
  const [edited, setEdited] = useState(() => editedOf(task?.format ?? TEMPLATES.product));
  const [hasFields, setHasFields] = useState(task?.format != null);
  const [sampling, setSampling] = useState(task?.sampling ?? { temperature: 0, max_tokens: null });
  const format: Schema | null = hasFields ? schemaIn(edited.json) : null;
  const isReady = name.trim() !== "" && instruction.trim() !== "" && hasFields === (format !== null);
  const keep = () => {
    const kept = { id: task?.id ?? newId(), name: name.trim(), instruction: instruction.trim(), format, sampling };
    keepTask(kept);
    closeDialog();
  };
  return (
    <Modal id="task-dialog" heading={lookWords.ownTask.heading} first="task-name">
      {!task && ownTasks.value.length > 0 && (
        <div class="choices">
          {ownTasks.value.map((own) => (
            <button key={own.id} type="button" class="quiet" onClick={() => openDialog({ kind: "task", task: own })}>
              {lookWords.ownTask.edit(own.name)}
            </button>
          ))}
        </div>
      )}
      <label>
        {lookWords.ownTask.name}
        <input id="task-name" dir="auto" value={name} onInput={(event) => setName(event.currentTarget.value)} />
      </label>
      <label>
        {lookWords.ownTask.instruction}
        <textarea
          id="task-instruction"
          rows={3}
          dir="auto"
          value={instruction}
          onInput={(event) => setInstruction(event.currentTarget.value)}
        />
      </label>
      <label class="switch">
        <input type="checkbox" id="task-fields" checked={hasFields} onChange={(event) => setHasFields(event.currentTarget.checked)} />
        {lookWords.ownTask.format}
      </label>
      {hasFields && <FieldsEditor edited={edited} onChange={setEdited} />}
      <label class="switch">
        <input
          type="checkbox"
          checked={sampling.temperature === 0}
          onChange={(event) => setSampling({ ...sampling, temperature: event.currentTarget.checked ? 0 : null })}
        />
        {lookWords.ownTask.temperature}
      </label>
      <label>
        {lookWords.ownTask.longest}
        <select
          value={String(sampling.max_tokens ?? "")}
          onChange={(event) => setSampling({ ...sampling, max_tokens: Number(event.currentTarget.value) || null })}
        >
          <option value="">{lookWords.ownTask.longestOwn}</option>
          {LONGEST.map((tokens) => (
            <option key={tokens} value={String(tokens)}>
              {String(tokens)}
            </option>
          ))}
        </select>
      </label>
      <div class="choices">
        <button type="button" class="primary" id="task-keep" disabled={!isReady} onClick={keep}>
          {lookWords.ownTask.keep}
        </button>
        {task && (
          <button
            type="button"
            onClick={() => {
              dropTask(task.id);
              closeDialog();
            }}
          >
            {lookWords.ownTask.delete}
          </button>
        )}
      </div>
    </Modal>
  );
}
