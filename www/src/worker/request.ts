/** A running request: submitted to the engine's scheduler, it sends its frames. */
import type { Bill } from "../usage/index.js";
import { RequestHandle, type AnswerEvent, type OcelliEngine, type OcelliWork, type RequestClient } from "../wasm/ocelli.js";
import type { EngineLoop } from "./engine-loop.js";

interface Outcome {
  resolve: (body: string) => void;
  reject: (thrown: unknown) => void;
}

export class Request implements RequestClient {
  private readonly handle = new RequestHandle();
  private outcome: Outcome | null = null;

  constructor(
    private readonly loop: EngineLoop,
    private readonly onEvent: (event: AnswerEvent) => void,
  ) {}

  /** Submits the request. Resolves to the body of its answer. */
  submit(work: OcelliWork, isBatch: boolean): Promise<string> {
    const { requests } = this.loop;
    return new Promise<string>((resolve, reject) => {
      this.outcome = { resolve, reject };
      if (!requests) throw new Error("no engine");
      requests.submit(work, this.handle, isBatch, this);
      this.loop.wake();
    });
  }

  /** Submits the request if its budgets admit it, and adds its usage to the bill. Calls `onBegin` when it is admitted. */
  async submitWithin(bill: Bill, engine: OcelliEngine, work: OcelliWork, isBatch: boolean, onBegin: () => void): Promise<string> {
    try {
      const promptTokens = await this.loop.alone(() => Promise.resolve(engine.promptTokens(work)));
      const { tokens, ms } = await bill.begin(promptTokens);
      this.handle.allow(tokens, ms);
    } catch (refused) {
      work.free();
      throw refused;
    }
    onBegin();
    let body: string | undefined;
    try {
      return (body = await this.submit(work, isBatch));
    } finally {
      await bill.took(this.handle.spent(), body);
    }
  }

  /** Counts a frame that was read. */
  read(): void {
    if (this.handle.read()) this.loop.wake();
  }

  /** Cancels the request within one step. */
  cancel(): void {
    this.handle.cancel();
    this.loop.wake();
  }

  free(): void {
    this.handle.free();
  }

  send(event: AnswerEvent): void {
    this.onEvent(event);
  }

  done(body: string): void {
    this.outcome?.resolve(body);
  }

  failed(error: unknown): void {
    this.outcome?.reject(error);
  }
}
