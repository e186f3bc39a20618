/** What pages say of budgets, and what they are told. */

/** The most that may be taken. What is absent is not limited. */
export interface Limit {
  /** Of prompts and answers together, as `usage` counts them. */
  tokens?: number;
  /** Of the engine's time: pictures, prompt and answer. */
  seconds?: number;
}

/** Limits of what requests take. Without any, `{}`, it is only counted. */
export interface Budgets {
  /** Of each request. */
  request?: Limit;
  /** Of all requests of a key in a day (UTC). A request's key is its `safety_identifier`, else its `user`. */
  key?: Limit;
}

/** What the requests of a key took on a day. */
export interface UsageRow {
  /** Such as `2026-11-23` (UTC). */
  day: string;
  key: string;
  requests: number;
  prompt_tokens: number;
  /** Those among them that had been computed before. */
  cached_tokens: number;
  completion_tokens: number;
  /** Of the engine's time. */
  seconds: number;
  /** Requests that a budget did not allow. */
  refusals: number;
}

/** What requests took, by day and key. */
export interface UsageReport {
  rows: UsageRow[];
  /** Stored lines that could not be read and do not count. */
  damagedLines: number;
  /** The rows as CSV (RFC 4180). What a spreadsheet would take for a formula has an apostrophe before it. */
  csv: string;
}

/** Why a budget refused, with the numbers: the `detail` of the error `budget-exceeded`. */
export interface BudgetDetail {
  /** Whose budget. */
  scope: "request" | "key" | "batch";
  unit: "tokens" | "seconds";
  limit: number;
  spent: number;
  /** Tokens that are needed at least; of seconds nobody knows. */
  asked: number | null;
  /** When it starts anew, such as `2026-11-24T00:00:00Z`; those of requests and batches never do. */
  renews_at: string | null;
  /** Seconds until then. */
  retry_after: number | null;
}
