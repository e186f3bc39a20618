/** Budgets of a page: the engine's module counts, the page's storage keeps the counts by day. */
import { readAll, updateDay } from "../usage/ledger.js";
import { OcelliAccounts, usageReport, type Budgets, type OcelliWork, type UsageReport } from "../wasm/ocelli.js";

export class Accounts {
  private readonly accounts: OcelliAccounts;

  /** With `null` nothing is stored, and only the budgets of requests themselves apply. Throws `invalid-request`. */
  constructor(private readonly budgets: Budgets | null) {
    this.accounts = new OcelliAccounts(budgets);
  }

  /** Opens the bill of a request. Resolves to whether it is counted; rejects with `budget-exceeded` if nothing is left for any prompt. */
  async bill(work: OcelliWork): Promise<boolean> {
    // Other engines may have counted meanwhile.
    await this.save();
    try {
      return this.accounts.bill(work);
    } catch (refused) {
      await this.save();
      throw refused;
    }
  }

  /** Stores new counts, and reads those of other engines. */
  async save(): Promise<void> {
    if (!this.budgets) return;
    for (const day of this.accounts.days()) await updateDay(day, (text) => this.accounts.merge(day, text));
  }
}

/** Stored usage. */
export async function report(): Promise<UsageReport> {
  return usageReport(await readAll());
}
