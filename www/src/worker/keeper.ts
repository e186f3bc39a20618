/** Keeps conversations in files while nobody asks anything. */
import type { CancelFlag, OcelliEngine } from "../wasm/ocelli.js";
import type { Task } from "./queue.js";

/** What the queue does when it has nothing else: the first that comes ends it, within a part of a file. */
export class Keeper implements Task {
  readonly isBatch = true;
  private isOver = false;

  constructor(
    private readonly engine: OcelliEngine,
    private readonly cancel: CancelFlag,
  ) {}

  async turn(): Promise<void> {
    try {
      await this.engine.keepSnapshots(this.cancel);
    } catch (thrown) {
      // Nothing is lost but time at the next visit.
      console.warn("a conversation was not kept", thrown);
    } finally {
      this.isOver = true;
      this.cancel.free();
    }
  }

  giveWay(): void {
    if (!this.isOver) this.cancel.cancel();
  }
}
