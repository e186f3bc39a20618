/** The tasks: the user's own, in their order, and those of the page. */
import { useState } from "preact/hooks";
import { openDialog } from "../../state/dialog.js";
import { focusOn } from "../../state/focus.js";
import { saveFile } from "../../state/save.js";
import { ownTasks } from "../../state/settings.js";
import { takeTasks, tasksJson } from "../../state/task-files.js";
import { copyTask, dropTask, keepTask, moveTask, tasks, type Task } from "../../state/tasks.js";
import { offerUndo } from "../../state/undo.js";
import type { OwnTask } from "../../store/schema.js";
import { words } from "../../words/index.js";
import { settingWords } from "../../words/settings.js";
import { FileButton } from "./controls.js";

export function Tasks() {
  const texts = settingWords.tasks;
  const [told, setTold] = useState("");
  const own = ownTasks.value;
  const take = (text: string) => {
    const taken = takeTasks(text);
    setTold(typeof taken === "number" ? texts.loaded(taken) : texts.unreadable(taken));
  };
  return (
    <>
      <p>{texts.about}</p>
      <h3 id="own-tasks-heading" tabIndex={-1}>
        {texts.own}
      </h3>
      {own.length === 0 && <p class="fine">{texts.none}</p>}
      <ul class="entries" id="own-tasks" aria-labelledby="own-tasks-heading">
        {own.map((task, index) => (
          <Own key={task.id} task={task} index={index} of={own.length} />
        ))}
      </ul>
      <div class="choices">
        <button type="button" class="primary" id="create-task" onClick={() => openDialog({ kind: "task", task: null })}>
          {texts.create}
        </button>
        <button type="button" id="save-tasks" disabled={own.length === 0} onClick={() => saveFile("ocelli-tasks.json", tasksJson(own))}>
          {texts.save}
        </button>
        <FileButton id="load-tasks" label={texts.load} accept=".json,application/json" onFile={(file) => void file.text().then(take)} />
      </div>
      <p role="status">{told}</p>
      <h3 id="page-tasks-heading">{texts.builtIn}</h3>
      <ul class="entries" id="page-tasks" aria-labelledby="page-tasks-heading">
        {tasks.value
          .filter(({ id, needs }) => needs === null && !own.some((task) => task.id === id))
          .map((task) => (
            <BuiltIn key={task.id} task={task} />
          ))}
      </ul>
    </>
  );
}

function BuiltIn({ task }: { task: Task }) {
  const texts = settingWords.tasks;
  return (
    <li>
      <Text name={task.name} instruction={task.instruction} />
      <Act act={texts.duplicate} name={task.name} onClick={() => copyTask(task, texts.copyOf(task.name))} />
    </li>
  );
}

function Own({ task, index, of }: { task: OwnTask; index: number; of: number }) {
  const texts = settingWords.tasks;
  const remove = () => {
    dropTask(task.id);
    offerUndo(texts.deleted(task.name), () => keepTask(task));
    focusOn("own-tasks-heading");
  };
  return (
    <li>
      <Text name={task.name} instruction={task.instruction} />
      <Act act={texts.edit} name={task.name} onClick={() => openDialog({ kind: "task", task })} />
      <Act act={texts.duplicate} name={task.name} onClick={() => copyTask({ ...task, needs: null }, texts.copyOf(task.name))} />
      <Act act={texts.up} name={task.name} isOff={index === 0} onClick={() => moveTask(task.id, -1)} />
      <Act act={texts.down} name={task.name} isOff={index === of - 1} onClick={() => moveTask(task.id, 1)} />
      <Act act={words.delete} name={task.name} onClick={remove} />
    </li>
  );
}

function Text({ name, instruction }: { name: string; instruction: string }) {
  return (
    <div class="entry-text">
      <strong dir="auto">{name}</strong>
      <p class="fine" dir="auto">
        {instruction}
      </p>
    </div>
  );
}

function Act({ act, name, isOff = false, onClick }: { act: string; name: string; isOff?: boolean; onClick: () => void }) {
  return (
    <button type="button" class="quiet" aria-label={settingWords.tasks.of(act, name)} disabled={isOff} onClick={onClick}>
      {act}
    </button>
  );
}
