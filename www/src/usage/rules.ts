/**
 * What budgets allow. `bin/usage/rules.rs` has the same rules for the command, and `tests/fixtures/budgets.json` the cases that
 * both are run against.
 */
import { ocelliError, type OcelliError } from "../errors.js";
import type { BudgetDetail, Limit } from "./types.js";

/** Characters of a key; what is behind them does not count. */
const KEY_CHARACTERS = 256;
const DAY = 24 * 60 * 60;

/** What is taken already. */
export interface Spent {
  tokens: number;
  seconds: number;
}

/** A budget and what is taken of it. */
export interface Budget {
  scope: BudgetDetail["scope"];
  limit: Limit;
  spent: Spent;
}

/**
 * Lets a request begin with a prompt of so many tokens, at `now`, seconds since 1970. Returns what is left behind the prompt. Throws
 * `budget-exceeded` where a budget has no room for the prompt and a token after it, or no time.
 */
export function admit(budgets: readonly Budget[], promptTokens: number, now: number): Required<Limit> {
  const asked = promptTokens + 1;
  for (const { scope, limit, spent } of budgets) {
    if (limit.tokens !== undefined && spent.tokens + asked > limit.tokens) {
      throw exceeded({ scope, unit: "tokens", limit: limit.tokens, spent: spent.tokens, asked }, now);
    }
    if (limit.seconds !== undefined && spent.seconds >= limit.seconds) {
      throw exceeded({ scope, unit: "seconds", limit: limit.seconds, spent: spent.seconds, asked: null }, now);
    }
  }
  return left(budgets, promptTokens);
}

/** What is left when so many tokens more are taken; infinite where nothing is limited. */
export function left(budgets: readonly Budget[], tokens: number): Required<Limit> {
  const least = (unit: keyof Spent, more: number) =>
    Math.max(0, Math.min(...budgets.map(({ limit, spent }) => (limit[unit] ?? Number.POSITIVE_INFINITY) - spent[unit] - more)));
  return { tokens: least("tokens", tokens), seconds: least("seconds", 0) };
}

function exceeded(refused: Omit<BudgetDetail, "renews_at" | "retry_after">, now: number): OcelliError {
  const renews = refused.scope === "key" ? (Math.floor(now / DAY) + 1) * DAY : null;
  const detail: BudgetDetail = {
    ...refused,
    limit: rounded(refused.limit),
    spent: rounded(refused.spent),
    renews_at: renews === null ? null : `${day(renews)}T00:00:00Z`,
    retry_after: renews === null ? null : renews - now,
  };
  const { scope, unit, limit, spent, asked, renews_at } = detail;
  const needed = asked === null ? "" : `, ${asked} more needed`;
  const anew = renews_at === null ? "" : `; resets at ${renews_at}`;
  return ocelliError("budget-exceeded", `${scope} budget exceeded: ${spent} of ${limit} ${unit} used${needed}${anew}`, { ...detail });
}

/** The day (UTC) of a time, such as `2026-11-23`. */
export function day(now: number): string {
  return new Date(now * 1000).toISOString().slice(0, "YYYY-MM-DD".length);
}

/**
 * Who asks, and what a request itself allows in its field `budget`. `caller` is who asks where it does not say. Throws `invalid-request` where
 * that field is malformed; other fields are read elsewhere.
 */
export function asker(request: Readonly<Record<string, unknown>>, caller = ""): { key: string; limit: Limit } {
  const names = [request["safety_identifier"], request["user"]];
  const named = names.find((name): name is string => typeof name === "string" && name !== "") ?? caller;
  return { key: [...named].slice(0, KEY_CHARACTERS).join(""), limit: ownLimit(request["budget"] ?? null) };
}

function ownLimit(budget: unknown): Limit {
  const invalid = (field: string, reason: string) => ocelliError("invalid-request", `${field}: ${reason}`, { field, reason });
  if (budget === null) return {};
  if (typeof budget !== "object" || Array.isArray(budget)) throw invalid("budget", "must be an object of tokens and seconds");
  const limit: Limit = {};
  for (const [name, value] of Object.entries(budget)) {
    if (value === null) continue;
    const number = typeof value === "number" && value >= 0 ? value : null;
    if (name === "tokens") {
      if (number === null || !Number.isInteger(number)) throw invalid("budget.tokens", "must be a whole number of at least 0");
      limit.tokens = number;
    } else if (name === "seconds") {
      if (number === null) throw invalid("budget.seconds", "must be a number of at least 0");
      limit.seconds = number;
    } else throw invalid(`budget.${name}`, "must be tokens or seconds");
  }
  return limit;
}

/** The least of both. */
export function both(one: Limit, other: Limit): Limit {
  const limit: Limit = {};
  for (const unit of ["tokens", "seconds"] as const) {
    const least = Math.min(one[unit] ?? Number.POSITIVE_INFINITY, other[unit] ?? Number.POSITIVE_INFINITY);
    if (least < Number.POSITIVE_INFINITY) limit[unit] = least;
  }
  return limit;
}

/** As it is told: to the thousandth. */
export function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
