/** A request in progress: it is submitted to the engine's scheduler, and sends its frames. */
import { RequestHandle, type AnswerEvent, type OcelliWork, type RequestClient } from "../wasm/ocelli.js";
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
    private readonly onAdmitted: () => void,
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

  admitted(): void {
    this.onAdmitted();
  }

  send(event: string): void {
    this.onEvent(JSON.parse(event) as AnswerEvent);
  }

  done(body: string): void {
    this.outcome?.resolve(body);
  }

  failed(error: unknown): void {
    this.outcome?.reject(error);
  }
}
