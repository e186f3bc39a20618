/** Keeps conversations in files while nobody asks anything. */
import type { SnapshotFolder } from "../store/snapshots.js";
import type { CancelFlag } from "../wasm/ocelli.js";

/** What the engine of the larger module has for it. */
export interface KeepingEngine {
  openSnapshots(files: SnapshotFolder, bytes: number): Promise<void>;
  /** Whether all conversations are kept by now. */
  keepSnapshots(cancel: CancelFlag): Promise<boolean>;
  /** Bytes that were freed. */
  clearSnapshots(): Promise<number>;
}

/** A task for the queue when it has no other: the first that comes ends it, within a part of a file. */
export class Keeper {
  readonly isBatch = true;

  constructor(
    private readonly engine: KeepingEngine,
    private readonly cancel: CancelFlag,
  ) {}

  async turn(): Promise<void> {
    try {
      await this.engine.keepSnapshots(this.cancel);
    } catch (thrown) {
      // Nothing is lost but time at the next visit; what could not be written is not tried again.
      console.warn("a conversation was not kept", thrown);
    } finally {
      this.cancel.free();
    }
  }

  giveWay(): void {
    this.cancel.cancel();
  }
}
