/** Budgets and usage in the engine's worker, which loads this script if they are needed. Each request has a bill. */
import { addTo, readAll, readDay } from "./ledger.js";
import { type Counts, NOTHING } from "./report.js";
import { admit, both, day, left, type Budget } from "./rules.js";
import type { Asker } from "../wasm/ocelli.js";
import type { Budgets, Limit, UsageReport } from "./types.js";

/** Fewest tokens of a prompt, assumed until the prompt is known. */
const SHORTEST_PROMPT = 1;

/** Seconds since 1970. */
const seconds = () => Math.floor(Date.now() / 1000);

/** Budgets and the usage that counts for them. */
export class Accounts {
  /** `null`: only the requests' own limits apply, and no usage is stored. */
  constructor(
    private readonly budgets: Budgets | null,
    private readonly clock: () => number = seconds,
  ) {}

  /** The bill of a request. Rejects with `budget-exceeded` if no prompt fits the budgets. */
  async bill({ key, limit }: Asker): Promise<Bill> {
    const bill = new Bill(key, both(this.budgets?.request ?? {}, limit), this.budgets?.key ?? {}, this.budgets !== null, this.clock);
    await bill.ask(SHORTEST_PROMPT);
    return bill;
  }

  /** Usage by day and key. */
  async report(): Promise<UsageReport> {
    return (await readAll()).report();
  }
}

/** Usage of one request. */
export class Bill {
  /** The day on which the request began; all its usage counts for that day. */
  private began: string | null = null;
  private prompt = 0;
  /** Tokens and seconds of its answers that have been counted. */
  private tokens = 0;
  private seconds = 0;

  constructor(
    private readonly key: string,
    private readonly request: Limit,
    private readonly ofKey: Limit,
    private readonly isKept: boolean,
    private readonly clock: () => number,
  ) {}

  /** The most that its answers may use from now on. Rejects with `budget-exceeded` if they may not begin. */
  async begin(promptTokens: number): Promise<{ tokens: number; ms: number }> {
    const rest = this.began === null ? await this.ask(promptTokens) : left(await this.state(this.began), 0);
    if (this.began === null) {
      this.prompt = promptTokens;
      this.began = day(this.clock());
      await this.count({ ...NOTHING, requests: 1, prompt_tokens: promptTokens });
    }
    return { tokens: rest.tokens, ms: rest.seconds * 1000 };
  }

  /** Counts a turn: tokens and milliseconds of all turns so far, and the answer if it is complete. */
  async took([tokens = 0, ms = 0]: ArrayLike<number> & Iterable<number>, body: string | undefined): Promise<void> {
    const counts = { ...NOTHING, completion_tokens: tokens - this.tokens, seconds: ms / 1000 - this.seconds };
    this.tokens = tokens;
    this.seconds = ms / 1000;
    if (body !== undefined) counts.cached_tokens = cachedTokens(body);
    await this.count(counts);
  }

  /** Requires that the budgets admit a prompt of so many tokens. */
  async ask(promptTokens: number): Promise<Required<Limit>> {
    const now = this.clock();
    try {
      return admit(await this.state(day(now)), promptTokens, now);
    } catch (refused) {
      if (this.isKept) await addTo(day(now), this.key, { ...NOTHING, refusals: 1 });
      throw refused;
    }
  }

  private async state(today: string): Promise<Budget[]> {
    const own: Budget = { scope: "request", limit: this.request, spent: { tokens: this.prompt + this.tokens, seconds: this.seconds } };
    if (this.ofKey.tokens === undefined && this.ofKey.seconds === undefined) return [own];
    const { prompt_tokens, completion_tokens, seconds } = (await readDay(today)).row(today, this.key);
    return [own, { scope: "key", limit: this.ofKey, spent: { tokens: prompt_tokens + completion_tokens, seconds } }];
  }

  private async count(counts: Counts): Promise<void> {
    if (this.isKept && this.began !== null) await addTo(this.began, this.key, counts);
  }
}

function cachedTokens(body: string): number {
  type Details = { cached_tokens?: number };
  const { usage } = JSON.parse(body) as { usage?: { prompt_tokens_details?: Details; input_tokens_details?: Details } };
  return (usage?.prompt_tokens_details ?? usage?.input_tokens_details)?.cached_tokens ?? 0;
}
