/** Calls take turns: there is one GPU and one KV cache. */

/** What takes turns. */
export interface Task {
  /** Whether nobody waits for it: it goes behind all others. */
  readonly isBatch: boolean;
  /** Takes a turn. Never rejects. */
  turn(): Promise<void>;
  /** Another task waits now, `queue.next`. */
  giveWay(): void;
}

/** First come, first served; those of batches when nobody else waits. */
export class TaskQueue {
  private readonly waiting: Task[] = [];
  private readonly batched: Task[] = [];
  private current: Task | null = null;
  /** Makes what is done when nobody asks anything, once after others. */
  private idle: () => Task | null = () => null;
  private hasRested = true;

  whenIdle(idle: () => Task | null): void {
    this.idle = idle;
  }

  /** Adds a task behind those that wait. */
  add(task: Task): void {
    this.listOf(task).push(task);
    this.go();
  }

  /** Adds one that made room for others in front of those that wait. */
  addAgain(task: Task): void {
    this.listOf(task).unshift(task);
    this.go();
  }

  /** The task that is next in turn. */
  get next(): Task | undefined {
    return this.waiting[0] ?? this.batched[0];
  }

  /** Takes it out of the queue. */
  take(): Task | undefined {
    return this.waiting.shift() ?? this.batched.shift();
  }

  private listOf(task: Task): Task[] {
    return task.isBatch ? this.batched : this.waiting;
  }

  private go(): void {
    if (this.current) this.current.giveWay();
    else void this.run();
  }

  private rest(): Task | null {
    const isDue = !this.hasRested;
    this.hasRested = true;
    return isDue ? this.idle() : null;
  }

  private async run(): Promise<void> {
    for (;;) {
      const asked = this.take();
      if (asked) this.hasRested = false;
      this.current = asked ?? this.rest();
      if (!this.current) return;
      await this.current.turn();
    }
  }
}
