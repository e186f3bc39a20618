/** Answers in a format: as a table, as JSON, or as places in the picture; and their edit by hand. */
import { useEffect, useState } from "preact/hooks";
import { FIND } from "../state/answer.js";
import { save } from "../state/conversation.js";
import { foundIn } from "../state/find.js";
import { placeOf, readJson } from "../state/json-places.js";
import { saveFile } from "../state/save.js";
import type { Message } from "../store/schema.js";
import { lookWords } from "../words/looks.js";
import { FoundAnswer } from "./found.js";

export function Structured({ message, question }: { message: Message; question: Message | undefined }) {
  const [isEdited, setEdited] = useState(false);
  const found = message.task === FIND ? foundIn(message.text) : null;
  const [picture] = question?.pictures ?? [];
  const { value } = readJson(message.text);
  if (isEdited) return <Editor message={message} onDone={() => setEdited(false)} />;
  // An answer that was cut is no JSON.
  if (value === undefined) return <pre>{message.text}</pre>;
  return (
    <>
      {found && picture ? <FoundAnswer found={found} picture={picture} /> : <Value value={value} />}
      <div class="choices tools">
        <Copy text={JSON.stringify(value, null, 2)} />
        {!found && (
          <button type="button" class="quiet" onClick={() => saveFile("answer.json", `${JSON.stringify(value, null, 2)}\n`)}>
            {lookWords.structured.save}
          </button>
        )}
        <button type="button" class="quiet edit-json" onClick={() => setEdited(true)}>
          {lookWords.structured.edit}
        </button>
      </div>
    </>
  );
}

function Value({ value }: { value: unknown }) {
  const isFlat = typeof value === "object" && value !== null && !Array.isArray(value) && Object.values(value).every(isLine);
  if (!isFlat) return <pre>{JSON.stringify(value, null, 2)}</pre>;
  return (
    <table>
      <tbody>
        {Object.entries(value as object).map(([name, entry]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>
              <Entry value={entry as unknown} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** True for values that have a place in one row. */
function isLine(value: unknown): boolean {
  return typeof value !== "object" || value === null || (Array.isArray(value) && value.every((entry) => typeof entry !== "object"));
}

function Entry({ value }: { value: unknown }) {
  if (value === null) return <span class="nothing">{lookWords.structured.nothing}</span>;
  if (typeof value === "boolean") return <>{value ? lookWords.structured.yes : lookWords.structured.no}</>;
  if (!Array.isArray(value)) return <>{String(value)}</>;
  return (
    <ul>
      {value.map((entry, index) => (
        <li key={String(index)}>{String(entry)}</li>
      ))}
    </ul>
  );
}

function Copy({ text }: { text: string }) {
  const [isCopied, setCopied] = useState(false);
  return (
    <button type="button" class="quiet" onClick={() => void navigator.clipboard.writeText(text).then(() => setCopied(true))}>
      {isCopied ? lookWords.structured.copied : lookWords.structured.copy}
    </button>
  );
}

/** A value that does not match its schema. */
interface Misfit {
  path: string;
  message: string;
}

/** The places at which `value` does not match `schema`. */
async function misfitsOf(schema: object, value: unknown): Promise<Misfit[]> {
  const { Validator } = await import("./validator.js");
  const { errors } = new Validator(schema, "2020-12", false).validate(value);
  // Schemas around a fault are reported too; the innermost ones say what it is.
  const inner = errors.filter(({ keyword }) => !["properties", "items", "prefixItems", "allOf", "anyOf", "$ref"].includes(keyword));
  return inner.map(({ instanceLocation, error }) => ({ path: instanceLocation.replace(/^#\/?/, ""), message: error }));
}

function Editor({ message, onDone }: { message: Message; onDone: () => void }) {
  const [text, setText] = useState(() => JSON.stringify(readJson(message.text).value, null, 2));
  const [misfits, setMisfits] = useState<readonly Misfit[]>([]);
  const { value, fault } = readJson(text);
  const { format } = message;
  useEffect(() => {
    let isCurrent = true;
    const { value, fault } = readJson(text);
    if (fault === null && format) void misfitsOf(format, value).then((found) => isCurrent && setMisfits(found));
    return () => {
      isCurrent = false;
    };
  }, [text, format]);
  const { line, column } = placeOf(text, fault ?? 0);
  const keep = () => {
    void save(message.conversation, [{ ...message, text: JSON.stringify(value) }]);
    onDone();
  };
  return (
    <div class="edit-answer">
      <textarea
        rows={Math.min(16, text.split("\n").length + 1)}
        spellcheck={false}
        aria-label={lookWords.structured.label}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <div role="status">
        {fault !== null && <p class="fault">{lookWords.fields.syntax(line, column)}</p>}
        {fault === null && misfits.length > 0 && (
          <>
            <p>{lookWords.structured.misfits}</p>
            <ul class="misfits">
              {misfits.map(({ path, message }) => (
                <li key={`${path} ${message}`}>{lookWords.structured.misfit(path, message)}</li>
              ))}
            </ul>
          </>
        )}
      </div>
      <div class="choices">
        <button type="button" disabled={fault !== null} onClick={keep}>
          {lookWords.structured.done}
        </button>
        <button type="button" class="quiet" onClick={onDone}>
          {lookWords.structured.cancel}
        </button>
      </div>
    </div>
  );
}
