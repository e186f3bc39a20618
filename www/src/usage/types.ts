/** Types of budgets and usage. */

/** Limits. An absent field is unlimited. */
export interface Limit {
  /** Tokens of prompts and answers together, as in `usage`. */
  tokens?: number;
  /** Time of the engine: pictures, prompt and answer. */
  seconds?: number;
}

/** Budgets. Usage is counted even if there are none (`{}`). */
export interface Budgets {
  /** Budget of each request. */
  request?: Limit;
  /** Budget of all requests of a key in a day (UTC). The key of a request is its `safety_identifier`, otherwise its `user`. */
  key?: Limit;
}

/** Usage of a key on a day. */
export interface UsageRow {
  /** A date (UTC) such as `2026-11-23`. */
  day: string;
  key: string;
  requests: number;
  prompt_tokens: number;
  /** Prompt tokens that were in the KV cache. */
  cached_tokens: number;
  completion_tokens: number;
  /** Time of the engine. */
  seconds: number;
  /** Requests that a budget refused. */
  refusals: number;
}

/** Usage by day and key. */
export interface UsageReport {
  rows: UsageRow[];
  /** Stored lines that could not be read and are not counted. */
  damagedLines: number;
  /** The rows as CSV (RFC 4180). An apostrophe precedes keys that a spreadsheet would take for a formula. */
  csv: string;
}

/** Numbers of a refusal: the `detail` of the error `budget-exceeded`. */
export interface BudgetDetail {
  /** The owner of the budget. */
  scope: "request" | "key" | "batch";
  unit: "tokens" | "seconds";
  limit: number;
  spent: number;
  /** Fewest tokens needed; `null` for seconds, which are not known in advance. */
  asked: number | null;
  /** Time of the next reset, such as `2026-11-24T00:00:00Z`; `null` for requests and batches, whose budgets are not reset. */
  renews_at: string | null;
  /** Seconds until the reset. */
  retry_after: number | null;
}
