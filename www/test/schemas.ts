/** JSON schemas for answers, as written by people and by tools. */
import { z } from "zod";

type Schema = Record<string, unknown> | boolean;

const object = (properties: Record<string, Schema>, more: object = {}): Schema => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...more,
});
const list = (items: Schema, more: object = {}): Schema => ({ type: "array", items, maxItems: 3, ...more });
const word: Schema = { type: "string", maxLength: 8 };

function values(): Schema[] {
  return [
    { type: "null" },
    { type: "boolean" },
    { const: { a: [1, "two", null] } },
    { enum: ["red", 3, null, false, { deep: ["x"] }] },
    { enum: ["only"] },
    { type: "string", maxLength: 5 },
    { type: "string", minLength: 3, maxLength: 6 },
    { type: ["string", "null"], maxLength: 4 },
    { type: ["integer", "boolean"], minimum: 0, maximum: 7 },
    { type: "integer" },
    { type: "integer", minimum: -5, maximum: 5 },
    { type: "integer", exclusiveMinimum: 0, exclusiveMaximum: 3 },
    { type: "integer", minimum: 100, maximum: 120, multipleOf: 5 },
    { type: "number", minimum: 0, maximum: 1 },
    { type: "number", exclusiveMinimum: -1, exclusiveMaximum: 1 },
    { type: "number" },
  ];
}

function strings(): Schema[] {
  const patterns = [
    "^[a-f]{2,4}$",
    "^(cat|dog)s?$",
    "^\\d{3}-\\d{2}$",
    '^[^"\\\\]{1,5}$',
    "^a+b?$",
    "[0-9]",
    "^[A-Z][a-z]*$",
    "^\\w{2}\\s\\w{2}$",
  ];
  const formats = ["date", "time", "date-time", "email", "uuid", "ipv4", "hostname"];
  return [
    ...patterns.map((pattern) => ({ type: "string", pattern, maxLength: 12 })),
    ...formats.map((format) => ({ type: "string", format })),
    { type: "string", format: "an-unknown-one", maxLength: 4 },
  ];
}

function arrays(): Schema[] {
  return values()
    .slice(0, 9)
    .flatMap((items) => [list(items), list(items, { minItems: 2 })])
    .concat([
      { type: "array", prefixItems: [{ type: "integer", minimum: 0, maximum: 9 }, word], items: false, minItems: 2 },
      { type: "array", items: [{ type: "boolean" }, { type: "null" }], additionalItems: false, minItems: 1 },
      list(list({ type: "boolean" })),
      { type: "array", items: word, minItems: 0, maxItems: 0 },
    ]);
}

function objects(): Schema[] {
  const [text, flag, count]: Schema[] = [word, { type: "boolean" }, { type: "integer", minimum: 0, maximum: 99 }];
  const fields = { zeta: text, alpha: flag, mid: count } as Record<string, Schema>;
  return [
    ...values().map((value) => object({ value })),
    object(fields),
    object(fields, { required: [] }),
    object(fields, { required: ["mid"] }),
    object({ outer: object(fields), others: list(object({ name: word })) }),
    { type: "object", additionalProperties: { type: "boolean" }, maxProperties: 2 },
    { type: "object", properties: fields, required: ["alpha"] },
    { type: "object", patternProperties: { "^x_[a-c]$": flag as Schema }, additionalProperties: false, maxProperties: 2 },
    object({ '"quoted" \\ name': text as Schema, "grün 🙂": flag as Schema }),
  ];
}

function combined(): Schema[] {
  const shape = (name: string, more: Record<string, Schema>) => object({ kind: { const: name }, ...more });
  return [
    { anyOf: [{ type: "boolean" }, word, { type: "null" }] },
    {
      oneOf: [
        shape("circle", { r: { type: "integer", minimum: 0, maximum: 9 } }),
        shape("square", { side: { type: "integer", minimum: 0, maximum: 9 } }),
      ],
    },
    { allOf: [{ type: "integer", minimum: 3 }, { maximum: 9 }] },
    { allOf: [object({ a: word }, { additionalProperties: true })], type: "object" },
    { $ref: "#/$defs/leaf", $defs: { leaf: object({ a: { type: "boolean" } }) } },
    { $ref: "#/definitions/leaf", definitions: { leaf: list({ enum: ["x", "y"] }) } },
    {
      $defs: { node: object({ name: word, next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] } }) },
      $ref: "#/$defs/node",
    },
    {
      $schema: "http://json-schema.org/draft-07/schema#",
      title: "With annotations",
      description: "Says nothing about the answer",
      examples: [1],
      default: {},
      ...(object({ a: { type: "string", title: "A", maxLength: 5, $comment: "none" } }) as object),
    },
    {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      ...(object({ pair: { type: "array", prefixItems: [{ type: "boolean" }], items: false, minItems: 1 } }) as object),
    },
  ];
}

/** Schemas written by zod, in both drafts. */
function ofZod(): Schema[] {
  const types = [
    z.object({ name: z.string().max(6), age: z.number().int().min(0).max(120), tags: z.array(z.enum(["a", "b"])).max(2) }),
    z.object({ email: z.email(), when: z.iso.date(), id: z.uuid() }),
    z.discriminatedUnion("kind", [
      z.object({ kind: z.literal("on"), level: z.number().int().min(0).max(9) }),
      z.object({ kind: z.literal("off") }),
    ]),
    z.object({ maybe: z.string().max(4).nullable(), some: z.boolean().optional() }),
    z.tuple([z.boolean(), z.enum(["x", "y"])]),
    z.record(z.enum(["a", "b"]), z.boolean()),
    z.union([z.literal(1), z.literal("one"), z.null()]),
    z.object({ inner: z.object({ deep: z.object({ er: z.array(z.boolean()).length(2) }) }) }),
  ];
  return types.flatMap((type) => (["draft-7", "draft-2020-12"] as const).map((target) => z.toJSONSchema(type, { target }) as Schema));
}

/** All schemas, each also in a list and in a field. */
export function schemas(): Schema[] {
  const plain = [...values(), ...strings(), ...arrays(), ...objects(), ...combined(), ...ofZod()];
  const nested = plain
    .filter((schema) => !JSON.stringify(schema).includes('"$ref"'))
    .map((schema) => object({ first: schema, second: { type: "boolean" } }));
  return [...plain, ...nested];
}

/** Schemas that cannot be enforced, with the JSON pointer of the cause, and its keyword or the reason. */
export const REFUSED: [Schema, string, string][] = [
  [{ type: "array", items: word, uniqueItems: true }, "", "uniqueItems"],
  [object({ a: { type: "string", not: { pattern: "a" } } }), "/properties/a", "not"],
  [JSON.parse('{"const": 1, "if": {"const": 1}, "then": {"const": 2}}'), "", "no value of the list fits"],
  [object({ a: { type: "boolean", nullable: true } }), "/properties/a", "nullable"],
  [list({ type: "number", multipleOf: 0.1 }), "/items", "multipleOf"],
  [{ type: "array", contains: { const: 1 }, minContains: 50 }, "", "contains"],
  [object({ a: { type: "string", pattern: "(?=a)b" } }), "/properties/a", "pattern"],
  [{ $ref: "https://example.invalid/schema.json" }, "", "$ref"],
  [{ $ref: "#/$defs/nowhere" }, "", "$ref"],
];

/** Hostile schemas: each is refused, or answered in time. */
export function hostile(): Schema[] {
  let deep: Schema = { type: "boolean" };
  for (let depth = 0; depth < 500; depth++) deep = { type: "array", items: deep };
  const wide = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`field_${index}`, { type: "boolean" }]));
  const doubled = Object.fromEntries(
    Array.from({ length: 40 }, (_, index) => [
      `n${index}`,
      { anyOf: [{ $ref: `#/$defs/n${index + 1}` }, { $ref: `#/$defs/n${index + 1}` }] },
    ]),
  );
  return [
    deep,
    object(wide),
    { enum: Array.from({ length: 50_000 }, (_, index) => `value ${index}`) },
    { $ref: "#/$defs/n0", $defs: { ...doubled, n40: { type: "boolean" } } },
    { $ref: "#" },
    { $defs: { a: { $ref: "#/$defs/b" }, b: { $ref: "#/$defs/a" } }, $ref: "#/$defs/a" },
    { type: "string", pattern: "^(a+)+$" },
    { type: "string", pattern: "^(([a-z])+.)+[A-Z]([a-z])+$" },
    { type: "string", pattern: `^${"(x|xx)".repeat(300)}$` },
    { type: "string", pattern: "^(a{1,1000}){1,1000}$" },
    { type: "string", minLength: 1e9 },
    { type: "array", items: word, minItems: 1e9 },
    { type: "integer", minimum: 1e300 },
    { allOf: Array.from({ length: 3000 }, (_, index) => ({ type: "integer", minimum: index })) },
    { anyOf: Array.from({ length: 3000 }, (_, index) => object({ [`k${index}`]: word })) },
  ];
}
