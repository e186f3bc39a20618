/** Parts that several views of albums have. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

export function Switch({ id, label, isOn, onChange }: { id?: string; label: string; isOn: boolean; onChange: (isOn: boolean) => void }) {
  return (
    <label class="switch">
      <input type="checkbox" id={id} checked={isOn} onChange={(event) => onChange(event.currentTarget.checked)} />
      {label}
    </label>
  );
}

/** A label above its control. */
export function Labelled({ id, label, children }: { id: string; label: string; children: ComponentChildren }) {
  return (
    <div class="labelled">
      <label for={id}>{label}</label>
      {children}
    </div>
  );
}

/** A text is written this long after the last key. */
const WRITE_MS = 300;
/** Letters in a line of a field, roughly, for browsers whose fields do not grow by themselves. */
const LINE = matchMedia("(max-width: 40rem)").matches ? 32 : 56;

export interface TextFieldProps {
  id?: string;
  label: string;
  value: string;
  lang?: string | undefined;
  isDisabled?: boolean;
  onChange: (value: string) => void;
  onKeyDown?: (event: KeyboardEvent & { currentTarget: HTMLTextAreaElement }) => void;
}

/** A field that grows with its text, and keeps what is being typed until it is written. */
export function TextField({ id, label, value, lang, isDisabled = false, onChange, onKeyDown }: TextFieldProps) {
  const [draft, setDraft] = useState<string | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const waiting = useRef<string | null>(null);
  const write = () => {
    clearTimeout(timer.current);
    if (waiting.current !== null) onChange(waiting.current);
    waiting.current = null;
  };
  const latest = useRef(write);
  latest.current = write;
  useEffect(() => () => latest.current(), []);
  const text = draft ?? value;
  return (
    <textarea
      id={id}
      aria-label={label}
      dir="auto"
      lang={lang}
      rows={Math.max(2, Math.ceil(text.length / LINE) + (text.match(/\n/g)?.length ?? 0))}
      value={text}
      disabled={isDisabled}
      onInput={(event) => {
        waiting.current = event.currentTarget.value;
        setDraft(waiting.current);
        clearTimeout(timer.current);
        timer.current = setTimeout(() => latest.current(), WRITE_MS);
      }}
      onBlur={() => {
        write();
        setDraft(null);
      }}
      onKeyDown={(event) => {
        if (event.key === "Enter" && event.ctrlKey) write();
        onKeyDown?.(event);
      }}
    />
  );
}
