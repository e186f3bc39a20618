/** Calls take turns: there is one GPU and one KV cache. */

/** What takes turns. */
export interface Task {
  /** Takes a turn. Never rejects. */
  turn(): Promise<void>;
  /** Whether others wait, from now on. */
  giveWay(gives: boolean): void;
}

/** First come, first served. */
export class TaskQueue {
  private readonly waiting: Task[] = [];
  private current: Task | null = null;

  /** Adds a task behind those that wait. */
  add(task: Task): void {
    this.waiting.push(task);
    if (this.current) this.current.giveWay(true);
    else void this.run();
  }

  private async run(): Promise<void> {
    for (;;) {
      this.current = this.waiting.shift() ?? null;
      if (!this.current) return;
      this.current.giveWay(this.waiting.length > 0);
      await this.current.turn();
    }
  }
}
