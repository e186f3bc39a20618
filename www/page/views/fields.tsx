/** The editor of fields: a table, and the JSON schema that says the same. */
import { useEffect, useState } from "preact/hooks";
import { underway } from "../state/answer.js";
import { blankField, fieldsOf, KINDS, schemaOf, TEMPLATES, type Field, type Kind, type Schema } from "../state/fields.js";
import { extentOf, placeOf, readJson, type Extent, type JsonText } from "../state/json-places.js";
import { refusalOf, type Refusal } from "../state/schema-check.js";
import { lookWords } from "../words/looks.js";

/** After this time without a change the engine is asked. */
const CHECK_MS = 800;

/** The fields while they are edited. */
export interface Edited {
  /** Rows of the table; `null` if the schema says more than it can show. */
  rows: readonly Field[] | null;
  text: string;
  json: JsonText;
}

export function editedOf(schema: Schema): Edited {
  const text = JSON.stringify(schema, null, 2);
  return { rows: fieldsOf(schema), text, json: readJson(text) };
}

/** The schema, if it is one with something in it. */
export function schemaIn({ value }: JsonText): Schema | null {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
  const { properties } = value as Schema;
  const isEmpty = typeof properties === "object" && properties !== null && Object.keys(properties).length === 0;
  return isEmpty ? null : (value as Schema);
}

export function FieldsEditor({ edited, onChange }: { edited: Edited; onChange: (edited: Edited) => void }) {
  const refusal = useRefusal(edited.text);
  const withRows = (rows: readonly Field[]) => onChange({ ...editedOf(schemaOf(rows)), rows });
  const withText = (text: string) => {
    const json = readJson(text);
    onChange({ rows: json.fault === null ? fieldsOf(json.value) : edited.rows, text, json });
  };
  const { rows } = edited;
  const refused = refusal && /^\/properties\/([^/]*)/.exec(refusal.pointer)?.[1]?.replaceAll("~1", "/").replaceAll("~0", "~");
  return (
    <div class="fields">
      <label>
        {lookWords.fields.template}
        <select
          id="fields-template"
          value={nameOf(edited)}
          onChange={(event) => onChange(editedOf(TEMPLATES[templateOf(event.currentTarget.value)]))}
        >
          <option value="" disabled>
            –
          </option>
          {Object.keys(TEMPLATES).map((name) => (
            <option key={name} value={name}>
              {lookWords.fields.templates[templateOf(name)]}
            </option>
          ))}
        </select>
      </label>
      {rows === null ? (
        <p class="note" id="fields-more">
          {lookWords.fields.more}
        </p>
      ) : (
        <FieldsTable rows={rows} refused={refused ?? null} onChange={withRows} />
      )}
      <details class="json" open={rows === null || undefined}>
        <summary>{lookWords.fields.json}</summary>
        <textarea
          id="fields-json"
          rows={10}
          spellcheck={false}
          aria-label={lookWords.fields.json}
          aria-describedby="fields-told"
          aria-invalid={edited.json.fault !== null || refusal !== null}
          value={edited.text}
          onInput={(event) => withText(event.currentTarget.value)}
        />
      </details>
      <Told edited={edited} refusal={refusal} />
    </div>
  );
}

/** The template that the fields are, as long as they are not changed; else empty. */
function nameOf({ json }: Edited): string {
  const text = JSON.stringify(json.value);
  return Object.entries(TEMPLATES).find(([, schema]) => JSON.stringify(schema) === text)?.[0] ?? "";
}

function templateOf(name: string): keyof typeof TEMPLATES {
  return name as keyof typeof TEMPLATES;
}

/** The refusal of the engine, asked when nothing has changed for a while and nothing is being answered. */
function useRefusal(text: string): Refusal | null {
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const isIdle = underway.value === null;
  useEffect(() => {
    setRefusal(null);
    const schema = schemaIn(readJson(text));
    if (!schema || !isIdle) return;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      void refusalOf(schema, abort.signal).then((found) => !abort.signal.aborted && setRefusal(found));
    }, CHECK_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [text, isIdle]);
  return refusal;
}

/** The fault of the schema, and the line that it is in. */
function Told({ edited, refusal }: { edited: Edited; refusal: Refusal | null }) {
  const { json, text } = edited;
  const extent = refusal && extentOf(json, refusal.pointer);
  const at = json.fault ?? extent?.from;
  const { line, column } = placeOf(text, at ?? 0);
  const isObject = typeof json.value === "object" && json.value !== null && !Array.isArray(json.value);
  return (
    <div id="fields-told" role="status">
      {json.fault !== null ? (
        <p class="fault">{lookWords.fields.syntax(line, column)}</p>
      ) : refusal ? (
        <p class="fault">{lookWords.fields.refused(line, column, refusal.keyword, refusal.reason)}</p>
      ) : (
        !schemaIn(json) && <p>{isObject ? lookWords.fields.none : lookWords.fields.noObject}</p>
      )}
      {at !== undefined && <Line text={text} extent={extent && json.fault === null ? extent : { from: at, to: at + 1 }} />}
    </div>
  );
}

/** The line of a fault, with the fault marked. */
function Line({ text, extent: { from, to } }: { text: string; extent: Extent }) {
  const begin = text.lastIndexOf("\n", from - 1) + 1;
  const next = text.indexOf("\n", from);
  const end = next < 0 ? text.length : next;
  return (
    <p class="place">
      <code>
        {text.slice(begin, from)}
        <mark>{text.slice(from, Math.min(to, end)) || " "}</mark>
        {text.slice(Math.min(to, end), end)}
      </code>
    </p>
  );
}

interface TableProps {
  rows: readonly Field[];
  /** The name of the field that the engine refuses. */
  refused: string | null;
  onChange: (rows: readonly Field[]) => void;
}

function FieldsTable({ rows, refused, onChange }: TableProps) {
  const change = (at: number, more: Partial<Field>) => onChange(rows.map((row, index) => (index === at ? { ...row, ...more } : row)));
  return (
    <>
      <ul class="field-rows">
        {rows.map((row, index) => (
          <li key={String(index)} class={refused !== null && row.name.trim() === refused ? "refused" : undefined}>
            <FieldRow
              row={row}
              position={index + 1}
              onChange={(more) => change(index, more)}
              onRemove={() => onChange(rows.filter((_, other) => other !== index))}
            />
          </li>
        ))}
      </ul>
      <button type="button" id="fields-add" onClick={() => onChange([...rows, blankField])}>
        {lookWords.fields.add}
      </button>
    </>
  );
}

interface RowProps {
  row: Field;
  position: number;
  onChange: (more: Partial<Field>) => void;
  onRemove: () => void;
}

function FieldRow({ row, position, onChange, onRemove }: RowProps) {
  const { name, kind, choices, isNeeded, hint } = row;
  const label = (what: string) => `${lookWords.fields.field(position)}: ${what}`;
  return (
    <fieldset>
      <legend class="visually-hidden">{lookWords.fields.field(position)}</legend>
      <input
        class="field-name"
        aria-label={label(lookWords.fields.name)}
        placeholder={lookWords.fields.name}
        value={name}
        onInput={(event) => onChange({ name: event.currentTarget.value })}
      />
      <select
        class="field-kind"
        aria-label={label(lookWords.fields.kind)}
        value={kind}
        onChange={(event) => onChange({ kind: event.currentTarget.value as Kind })}
      >
        {KINDS.map((each) => (
          <option key={each} value={each}>
            {lookWords.fields.kinds[each]}
          </option>
        ))}
      </select>
      <label class="switch">
        <input type="checkbox" checked={isNeeded} onChange={(event) => onChange({ isNeeded: event.currentTarget.checked })} />
        {lookWords.fields.needed}
      </label>
      <button type="button" class="quiet" aria-label={lookWords.fields.remove(name)} onClick={onRemove}>
        ✕
      </button>
      {kind === "choice" && (
        <input
          class="field-choices"
          aria-label={label(lookWords.fields.choices)}
          placeholder={lookWords.fields.choices}
          value={choices.join(",")}
          onInput={(event) => onChange({ choices: event.currentTarget.value.split(",") })}
        />
      )}
      <input
        class="field-hint"
        aria-label={label(lookWords.fields.hint)}
        placeholder={lookWords.fields.hint}
        value={hint}
        onInput={(event) => onChange({ hint: event.currentTarget.value })}
      />
    </fieldset>
  );
}
