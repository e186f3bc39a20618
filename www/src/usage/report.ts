/** Sums of stored usage by day and key, as JSON and CSV. */
import { rounded } from "./rules.js";
import type { UsageReport, UsageRow } from "./types.js";

const NUMBERS = ["requests", "prompt_tokens", "cached_tokens", "completion_tokens", "seconds", "refusals"] as const;

/** Usage of one request. */
export type Counts = Pick<UsageRow, (typeof NUMBERS)[number]>;

export const NOTHING: Counts = { requests: 0, prompt_tokens: 0, cached_tokens: 0, completion_tokens: 0, seconds: 0, refusals: 0 };

/** Sums by day and key. */
export class Sums {
  private readonly rows = new Map<string, UsageRow>();
  /** Line numbers, from 1, of damaged lines. A torn line loses only its own counts. */
  readonly damaged: number[] = [];

  constructor(text: string) {
    for (const [index, line] of text.split("\n").entries()) {
      if (line.trim() === "") continue;
      const row = parse(line);
      if (row) this.add(row.day, row.key, row);
      else this.damaged.push(index + 1);
    }
  }

  add(day: string, key: string, counts: Counts): void {
    const row = this.row(day, key);
    for (const name of NUMBERS) row[name] += counts[name];
    this.rows.set(JSON.stringify([day, key]), row);
  }

  row(day: string, key: string): UsageRow {
    return { ...(this.rows.get(JSON.stringify([day, key])) ?? { day, key, ...NOTHING }) };
  }

  /** One line for each day and key. */
  text(): string {
    return [...this.rows.values()].map((row) => `${JSON.stringify(row)}\n`).join("");
  }

  report(): UsageReport {
    const order = (one: UsageRow, other: UsageRow) => compare(one.day, other.day) || compare(one.key, other.key);
    const rows = [...this.rows.values()].sort(order).map((row) => ({ ...row, seconds: rounded(row.seconds) }));
    return { rows, damagedLines: this.damaged.length, csv: csv(rows) };
  }
}

function parse(line: string): UsageRow | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { day, key, ...counts } = value as Partial<Record<keyof UsageRow, unknown>>;
  if (typeof day !== "string" || !/^\d{4}-\d\d-\d\d$/.test(day) || typeof key !== "string") return null;
  const row: UsageRow = { day, key, ...NOTHING };
  for (const name of NUMBERS) {
    const count = counts[name] ?? 0;
    if (typeof count !== "number" || !(count >= 0) || (name !== "seconds" && !Number.isInteger(count))) return null;
    row[name] = count;
  }
  return row;
}

function compare(one: string, other: string): number {
  return one < other ? -1 : Number(one > other);
}

function csv(rows: readonly UsageRow[]): string {
  const lines = rows.map((row) => [row.day, quoted(row.key), ...NUMBERS.map((name) => row[name])].join(","));
  return [["day", "key", ...NUMBERS].join(","), ...lines, ""].join("\r\n");
}

/** A CSV field. An apostrophe precedes text that a spreadsheet would take for a formula, and text that begins with an apostrophe. */
function quoted(text: string): string {
  const mark = /^[=+\-@\t\r\n']/.test(text) ? "'" : "";
  return `"${mark}${text.replaceAll('"', '""')}"`;
}
