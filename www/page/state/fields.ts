/** Fields of an answer: a JSON schema, or the table of names and kinds that says the same. */

export const KINDS = ["text", "number", "integer", "boolean", "date", "texts", "choice"] as const;
export type Kind = (typeof KINDS)[number];

export interface Field {
  name: string;
  kind: Kind;
  /** Values of the kind `choice`; spaces around them do not count. */
  choices: readonly string[];
  /** False if the answer may be `null`. */
  isNeeded: boolean;
  /** Tells the model what is meant; may be empty. */
  hint: string;
}

export type Schema = Record<string, unknown>;

export const blankField: Field = { name: "", kind: "text", choices: [], isNeeded: false, hint: "" };

const TYPES: Readonly<Record<Exclude<Kind, "choice">, Schema>> = {
  text: { type: "string" },
  number: { type: "number" },
  integer: { type: "integer" },
  boolean: { type: "boolean" },
  date: { type: "string", format: "date" },
  texts: { type: "array", items: { type: "string" } },
};

/** The schema of a table. Every field is in the answer; what may be missing may be `null`. */
export function schemaOf(fields: readonly Field[]): Schema {
  const named = fields.filter(({ name }) => name.trim() !== "");
  return {
    type: "object",
    properties: Object.fromEntries(named.map((field) => [field.name.trim(), propertyOf(field)])),
    required: [...new Set(named.map(({ name }) => name.trim()))],
    additionalProperties: false,
  };
}

function propertyOf({ kind, choices, isNeeded, hint }: Field): Schema {
  const description = hint.trim() ? { description: hint.trim() } : {};
  const values = choices.map((choice) => choice.trim()).filter(Boolean);
  if (kind === "choice") return { ...description, enum: isNeeded ? values : [...values, null] };
  const { type, ...rest } = TYPES[kind];
  return { ...description, type: isNeeded ? type : [type, "null"], ...rest };
}

/** The table of a schema; `null` if the schema says more than a table can. */
export function fieldsOf(schema: unknown): Field[] | null {
  if (!isObject(schema) || !isObject(schema["properties"])) return null;
  const fields = Object.entries(schema["properties"]).map(([name, property]) => fieldOf(name, property));
  if (fields.some((field) => field === null)) return null;
  const found = fields.filter((field) => field !== null);
  return isSame(schemaOf(found), schema) ? found : null;
}

function fieldOf(name: string, property: unknown): Field | null {
  if (!isObject(property)) return null;
  const hint = typeof property["description"] === "string" ? property["description"] : "";
  const values: unknown[] = Array.isArray(property["enum"]) ? property["enum"] : [];
  const texts = values.filter((value) => typeof value === "string");
  const candidates = KINDS.flatMap((kind) => [true, false].map((isNeeded): Field => ({ name, kind, choices: texts, isNeeded, hint })));
  const found = candidates.find((candidate) => isSame(propertyOf(candidate), property));
  return found ? { ...found, choices: found.kind === "choice" ? texts : [] } : null;
}

function isObject(value: unknown): value is Schema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Keys may be in another order, except those of `properties`, which answers follow. */
function isSame(one: unknown, other: unknown): boolean {
  if (Array.isArray(one) && Array.isArray(other)) return one.length === other.length && one.every((each, at) => isSame(each, other[at]));
  if (!isObject(one) || !isObject(other)) return one === other;
  const keys = Object.keys(one);
  return keys.length === Object.keys(other).length && keys.every((key) => key in other && isSame(one[key], other[key]));
}

/** A field in one line of a template. */
const field = (name: string, kind: Kind = "text", more: Partial<Field> = {}): Field => ({ ...blankField, name, kind, ...more });

/** Schemas to begin with. */
export const TEMPLATES: Readonly<Record<"receipt" | "card" | "product" | "sign" | "table", Schema>> = {
  receipt: schemaOf([
    field("shop"),
    field("date", "date"),
    field("items", "texts", { hint: "name and price of each" }),
    field("total", "number"),
    field("currency", "text", { hint: "three letters, such as EUR" }),
  ]),
  card: schemaOf([field("name"), field("position"), field("company"), field("phone"), field("email"), field("website"), field("address")]),
  product: schemaOf([
    field("name"),
    field("brand"),
    field("category"),
    field("color"),
    field("material"),
    field("condition", "choice", { choices: ["new", "used", "damaged"] }),
    field("price", "number"),
  ]),
  sign: schemaOf([
    field("text", "text", { isNeeded: true, hint: "all words, as they stand" }),
    field("language"),
    field("kind", "choice", { choices: ["traffic", "shop", "warning", "information", "other"] }),
  ]),
  table: {
    type: "object",
    properties: {
      title: { type: ["string", "null"] },
      columns: { type: "array", items: { type: "string" } },
      rows: { type: "array", items: { type: "array", items: { type: "string" } } },
    },
    required: ["title", "columns", "rows"],
    additionalProperties: false,
  },
};
