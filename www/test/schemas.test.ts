/**
 * Answers constrained by many schemas, validated by ajv. `OCELLI_SEEDS=10` asks each ten times; without it every eighth is asked once, with `OCELLI_TESTS=all` every third.
 * `OCELLI_SCHEMA_MODEL` is another package.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, test } from "node:test";
import { Ajv } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { hostile, REFUSED, schemas } from "./schemas.js";

/** The tests need no browser: one run is enough. */
const isRun = process.env["OCELLI_BROWSER"] !== "Firefox";
const isWhole = "OCELLI_SEEDS" in process.env;
/** One of so many schemas is asked. */
const step = process.env["OCELLI_TESTS"] === "all" ? 3 : 8;
const seeds = Number(process.env["OCELLI_SEEDS"] ?? 1);
const model = process.env["OCELLI_SCHEMA_MODEL"] ?? "models/demo";

interface Answered {
  custom_id: string;
  /** Absent if the line is not valid JSON. */
  response: { status_code: number; body: Body } | null;
}
interface Body {
  choices?: { message: { content: string }; finish_reason: string }[];
  error?: { code: string; param: string; message: string };
}

/** Answers by the name of the request, and the seconds of all together. */
function ask(bodies: Map<string, object>): { answers: Map<string, Answered>; seconds: number } {
  const folder = mkdtempSync(join(tmpdir(), "ocelli-schemas-"));
  try {
    const [input, output] = [join(folder, "in.jsonl"), join(folder, "out.jsonl")];
    const line = ([custom_id, body]: [string, object]) => JSON.stringify({ custom_id, method: "POST", url: "/v1/chat/completions", body });
    writeFileSync(input, [...bodies].map(line).join("\n"));
    const started = performance.now();
    const run = spawnSync(resolve("../target/debug/ocelli"), ["batch", input, output, "--package", model], { encoding: "utf8" });
    assert.ok([0, 1].includes(run.status ?? -1), run.stderr);
    const lines = readFileSync(output, "utf8").trim().split("\n");
    const answers = lines.map((line) => JSON.parse(line) as Answered);
    return { answers: new Map(answers.map((answer) => [answer.custom_id, answer])), seconds: (performance.now() - started) / 1e3 };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function request(schema: unknown, seed: number): object {
  const response_format = { type: "json_schema", json_schema: { name: "answer", schema } };
  return { messages: [{ role: "user", content: "Say something." }], temperature: 1.5, seed, max_tokens: 200, response_format };
}

function validates(schema: unknown, value: unknown): string | null {
  const is2020 = JSON.stringify(schema).includes("2020-12") || JSON.stringify(schema).includes("prefixItems");
  const options = { strict: false, allErrors: true, validateFormats: true };
  const ajv = is2020 ? new Ajv2020(options) : new Ajv(options);
  formats.default(ajv as Ajv);
  const validate = ajv.compile(schema as object);
  return validate(value) ? null : ajv.errorsText(validate.errors);
}

describe("schemas", { skip: !isRun && "it runs with Chromium's tests" }, () => {
  test("complete answers parse and validate", () => {
    const all = schemas();
    assert.ok(all.length >= 200, `${all.length} schemas`);
    const bodies = new Map<string, object>();
    for (const [index, schema] of all.entries()) {
      if (!isWhole && index % step > 0) continue;
      for (let seed = 0; seed < seeds; seed++) bodies.set(`${index}/${seed}`, request(schema, seed));
    }
    const { answers, seconds } = ask(bodies);
    assert.equal(answers.size, bodies.size);
    const [wrong, cut]: [string[], number[]] = [[], []];
    for (const [id, { response }] of answers) {
      const schema = all[Number(id.split("/")[0])];
      const choice = response?.body.choices?.[0];
      if (!choice) wrong.push(`${JSON.stringify(schema)}: ${response?.body.error?.message}`);
      else if (choice.finish_reason === "length") cut.push(1);
      else {
        const error = validates(schema, JSON.parse(choice.message.content));
        if (error) wrong.push(`${JSON.stringify(schema)}: ${choice.message.content}: ${error}`);
      }
    }
    console.log(
      `schemas: ${all.length} schemas, ${answers.size} answers in ${seconds.toFixed(1)} s, ${cut.length} cut by their limit, ${wrong.length} wrong`,
    );
    assert.deepEqual(wrong, []);
    assert.ok(cut.length < answers.size / 5, `${cut.length} of ${answers.size} were cut`);
  });

  test("schemas that cannot be enforced are refused with their place; hostile ones do no harm", () => {
    const refused = new Map(REFUSED.map(([schema], index) => [`${index}`, request(schema, 0)]));
    const { answers } = ask(refused);
    for (const [index, [schema, pointer, keyword]] of REFUSED.entries()) {
      const { status_code, body } = answers.get(`${index}`)?.response ?? { status_code: 0, body: {} };
      assert.equal(status_code, 400, JSON.stringify(schema));
      assert.deepEqual(
        [body.error?.code, body.error?.param],
        ["unsupported_schema", `/response_format/json_schema/schema${pointer}`],
        JSON.stringify(body),
      );
      assert.ok(body.error?.message.includes(keyword), body.error?.message);
    }
    for (const [index, schema] of hostile().entries()) {
      const { answers, seconds } = ask(new Map([["one", { ...request(schema, 0), max_tokens: 20 }]]));
      const [answer] = answers.values();
      const status = answer?.response?.status_code ?? "no JSON";
      assert.ok([200, 400, "no JSON"].includes(status), `hostile schema ${index}: ${status}`);
      console.log(`hostile schema ${index}: ${status} after ${seconds.toFixed(1)} s, the model loaded`);
      assert.ok(seconds < 600, `hostile schema ${index} took ${seconds} s`);
    }
  });
});
