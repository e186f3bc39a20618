/** Controls of settings, each with its label and, where it needs one, a sentence below it. */
import type { Signal } from "@preact/signals";
import type { ComponentChildren } from "preact";

interface Labelled {
  id: string;
  label: string;
  help?: string;
}

export function Switch({ id, label, help, setting, onChange }: Labelled & { setting: Signal<boolean>; onChange?: () => void }) {
  return (
    <div class="setting">
      <label class="switch">
        <input
          type="checkbox"
          id={id}
          checked={setting.value}
          {...describedBy(id, help)}
          onChange={(event) => {
            setting.value = event.currentTarget.checked;
            onChange?.();
          }}
        />
        {label}
      </label>
      <Help id={id} text={help} />
    </div>
  );
}

/** A choice among values; each has its name. */
export function Choice<T extends string | number>(
  props: Labelled & {
    value: T | null;
    options: readonly (readonly [value: T | null, name: string])[];
    onChange: (value: T | null) => void;
  },
) {
  const { id, label, help, value, options, onChange } = props;
  const at = options.findIndex(([each]) => each === value);
  return (
    <Field id={id} label={label} {...(help === undefined ? {} : { help })}>
      <select
        id={id}
        value={String(at)}
        {...describedBy(id, help)}
        onChange={(event) => onChange(options[Number(event.currentTarget.value)]?.[0] ?? null)}
      >
        {options.map(([, name], index) => (
          <option key={name} value={String(index)}>
            {name}
          </option>
        ))}
      </select>
    </Field>
  );
}

/** A number within limits; empty for the model's own. */
export function NumberField(
  props: Labelled & {
    placeholder: string;
    value: number | undefined;
    min: number;
    max: number;
    step: number | "any";
    onChange: (value: number | undefined) => void;
  },
) {
  const { id, label, help, placeholder, value, min, max, step, onChange } = props;
  return (
    <Field id={id} label={label} {...(help === undefined ? {} : { help })}>
      <input
        type="number"
        id={id}
        value={value ?? ""}
        placeholder={placeholder}
        min={min}
        max={max}
        step={step}
        inputMode="decimal"
        {...describedBy(id, help)}
        onChange={({ currentTarget }) => {
          // The browser tells what is wrong with a number outside of the limits; the setting stays as it was.
          if (currentTarget.reportValidity()) onChange(currentTarget.value === "" ? undefined : currentTarget.valueAsNumber);
        }}
      />
    </Field>
  );
}

export function Field({ id, label, help, children }: Labelled & { children: ComponentChildren }) {
  return (
    <div class="setting">
      <label for={id}>{label}</label>
      {children}
      <Help id={id} text={help} />
    </div>
  );
}

export function describedBy(id: string, help: string | undefined): { "aria-describedby"?: string } {
  return help === undefined ? {} : { "aria-describedby": `${id}-help` };
}

function Help({ id, text }: { id: string; text: string | undefined }) {
  return text === undefined ? null : (
    <p class="fine" id={`${id}-help`}>
      {text}
    </p>
  );
}

/** A button that takes a file. */
export function FileButton({ id, label, accept, onFile }: { id: string; label: string; accept: string; onFile: (file: File) => void }) {
  return (
    <>
      <input
        type="file"
        class="visually-hidden"
        id={id}
        accept={accept}
        onChange={({ currentTarget }) => {
          if (currentTarget.files?.[0]) onFile(currentTarget.files[0]);
          currentTarget.value = "";
        }}
      />
      <label class="button" for={id}>
        {label}
      </label>
    </>
  );
}
