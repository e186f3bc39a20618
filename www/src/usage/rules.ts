/** Rules of budgets. `bin/usage/rules.rs` has the same ones for the command; `tests/fixtures/budgets.json` has the cases for both. */
import { ocelliError, type OcelliError } from "../errors.js";
import type { BudgetDetail, Limit } from "./types.js";

const DAY = 24 * 60 * 60;

/** Usage so far. */
export interface Spent {
  tokens: number;
  seconds: number;
}

/** A budget and its usage. */
export interface Budget {
  scope: BudgetDetail["scope"];
  limit: Limit;
  spent: Spent;
}

/**
 * Admits a request with a prompt of so many tokens, at `now`, seconds since 1970. Returns the rest of the budgets after the prompt.
 * Throws `budget-exceeded` if a budget has no time left, or no room for the prompt and one more token.
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

/** The rest of the budgets after so many more tokens; infinite if nothing is limited. */
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

/** The smaller of both limits. */
export function both(one: Limit, other: Limit): Limit {
  const limit: Limit = {};
  for (const unit of ["tokens", "seconds"] as const) {
    const least = Math.min(one[unit] ?? Number.POSITIVE_INFINITY, other[unit] ?? Number.POSITIVE_INFINITY);
    if (least < Number.POSITIVE_INFINITY) limit[unit] = least;
  }
  return limit;
}

/** Rounds to thousandths, the precision of reports. */
export function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
