/** Fields for the texts of an album. */
import type { AlbumTask, Writing } from "../../store/schema.js";
import { albumWords, LANGUAGES } from "../../words/albums.js";
import { Labelled, Switch } from "./parts.js";

const WRITINGS: readonly Writing[] = ["alt", "caption", "words"];
const OTHER = "other";
const names = new Intl.DisplayNames(["en"], { type: "language" });

export function defaultTask(): AlbumTask {
  return { writes: ["alt"], language: document.documentElement.lang || "en", context: "", isLong: false, keepsAlts: true, detail: "auto" };
}

/** Fields of a task. `prefix` begins their ids. */
export function TaskFields({ prefix, task, onChange }: { prefix: string; task: AlbumTask; onChange: (task: AlbumTask) => void }) {
  const make = albumWords.make;
  const isKnown = LANGUAGES.includes(task.language);
  const set = (change: Partial<AlbumTask>) => onChange({ ...task, ...change });
  const write = (writing: Writing, isOn: boolean) =>
    set({ writes: WRITINGS.filter((each) => (each === writing ? isOn : task.writes.includes(each))) });
  return (
    <>
      <fieldset class="choices-field">
        <legend>{make.writes}</legend>
        {WRITINGS.map((writing) => (
          <Switch key={writing} label={make[writing]} isOn={task.writes.includes(writing)} onChange={(isOn) => write(writing, isOn)} />
        ))}
      </fieldset>
      <div class="field-pair">
        <Labelled id={`${prefix}-language`} label={make.language}>
          <select
            id={`${prefix}-language`}
            value={isKnown ? task.language : OTHER}
            onChange={({ currentTarget: { value } }) => set({ language: value === OTHER ? "" : value })}
          >
            {LANGUAGES.map((tag) => (
              <option key={tag} value={tag}>
                {names.of(tag)}
              </option>
            ))}
            <option value={OTHER}>{make.otherLanguage}</option>
          </select>
        </Labelled>
        {!isKnown && (
          <Labelled id={`${prefix}-other`} label={make.otherName}>
            <input id={`${prefix}-other`} value={task.language} onInput={(event) => set({ language: event.currentTarget.value })} />
          </Labelled>
        )}
        <Labelled id={`${prefix}-detail`} label={make.detail}>
          <select
            id={`${prefix}-detail`}
            value={task.detail}
            onChange={(event) => set({ detail: event.currentTarget.value as AlbumTask["detail"] })}
          >
            {Object.entries(make.details).map(([value, name]) => (
              <option key={value} value={value}>
                {name}
              </option>
            ))}
          </select>
        </Labelled>
      </div>
      <Labelled id={`${prefix}-context`} label={make.context}>
        <textarea
          id={`${prefix}-context`}
          rows={2}
          dir="auto"
          aria-describedby={`${prefix}-context-help`}
          value={task.context}
          onInput={(event) => set({ context: event.currentTarget.value })}
        />
        <p class="fine" id={`${prefix}-context-help`}>
          {make.contextHelp}
        </p>
      </Labelled>
      {task.writes.includes("alt") && (
        <div>
          <Switch label={make.keeps} isOn={task.keepsAlts} onChange={(keepsAlts) => set({ keepsAlts })} />
          <Switch label={make.long} isOn={task.isLong} onChange={(isLong) => set({ isLong })} />
        </div>
      )}
    </>
  );
}
