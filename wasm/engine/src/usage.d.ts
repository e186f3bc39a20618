/** A limit of usage. What is absent is not limited. */
export interface Limit {
  /** Tokens of prompts and answers together, counted as in `usage`. A whole number. */
  tokens?: number;
  /** Seconds of the engine's time: pictures, prompt and answer. */
  seconds?: number;
}

/** Limits of what requests use. With none, `{}`, usage is only counted. */
export interface Budgets {
  /** Limit of each request. */
  request?: Limit;
  /** Limit of all requests of a key in a day (UTC). A request's key is its `safety_identifier`, else its `user`. */
  key?: Limit;
}

/** Usage of a key on a day. */
export interface UsageRow {
  /** Such as `2026-11-23` (UTC). */
  day: string;
  key: string;
  requests: number;
  prompt_tokens: number;
  /** Prompt tokens that were cached. */
  cached_tokens: number;
  completion_tokens: number;
  /** Seconds of the engine's time. */
  seconds: number;
  /** Requests refused by a budget. */
  refusals: number;
}

/** Usage by day and key. */
export interface UsageReport {
  rows: UsageRow[];
  /** Stored lines that could not be read and do not count. */
  damagedLines: number;
  /** The rows as CSV (RFC 4180). Keys that look like formulas have an apostrophe as prefix. */
  csv: string;
}

/** The refusal of a budget in numbers: `detail` of the error `budget-exceeded`. */
export interface BudgetDetail {
  /** Owner of the budget. */
  scope: "request" | "key" | "batch";
  unit: "tokens" | "seconds";
  limit: number;
  spent: number;
  /** Least number of tokens needed; `null` for seconds, which are not known in advance. */
  asked: number | null;
  /** Time of the next reset, such as `2026-11-24T00:00:00Z`; `null` for requests and batches. */
  renews_at: string | null;
  /** Seconds until the reset. */
  retry_after: number | null;
}
