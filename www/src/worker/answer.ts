/** One request under way: it waits for its turn, sends its frames, and leaves the engine to others while nobody reads them. */
import type { Bill } from "../usage/index.js";
import { CancelFlag, type AnswerEvent, type OcelliEngine, type OcelliWork } from "../wasm/ocelli.js";
import type { Task, TaskQueue } from "./queue.js";

/** Frames that nobody has read before the engine waits. */
const MOST_UNREAD = 16;

/** What the engine does from a request's turn on. */
export interface Turn {
  run(engine: OcelliEngine): Promise<void>;
  /** Another task waits now. */
  giveWay(): void;
}

/** Where answers come from. */
export interface Source {
  engine: () => OcelliEngine;
  queue: TaskQueue;
  turn: (first: Answer, queue: TaskQueue) => Turn;
}

/** What counts a request, and who hears that its budgets let it begin. */
export interface Counted {
  bill: Bill;
  onBegin: (() => void) | undefined;
}

interface Outcome {
  resolve: (body: string) => void;
  reject: (thrown: unknown) => void;
}

export class Answer implements Task {
  readonly cancel = new CancelFlag();
  /** Its turn, while it has one. */
  private current: Turn | null = null;
  private unread = 0;
  /** Left the engine, and waits for its frames to be read. */
  private isParked = false;
  isOver = false;

  constructor(
    /** Replaced by what the engine gives back. */
    public work: OcelliWork,
    readonly isBatch: boolean,
    private readonly source: Source,
    private readonly onEvent: (event: AnswerEvent) => void,
    private readonly outcome: Outcome,
    readonly counted: Counted | undefined,
  ) {}

  async turn(): Promise<void> {
    if (this.isOver) return;
    const { engine, queue, turn } = this.source;
    this.current = turn(this, queue);
    await this.current.run(engine()).catch((thrown: unknown) => this.failed(thrown));
    this.current = null;
  }

  giveWay(): void {
    this.current?.giveWay();
  }

  /** Hears that `next` wants the engine: one of a batch leaves it to whom somebody waits for. */
  urge(next: Task | undefined): void {
    if (this.isOver) return;
    this.cancel.giveWay(next !== undefined);
    if (this.isBatch) this.cancel.hold(next !== undefined && !next.isBatch);
  }

  /** A frame has been read. */
  read(): void {
    this.unread--;
    if (this.isOver || this.unread >= MOST_UNREAD) return;
    this.cancel.hold(false);
    if (!this.isParked) return;
    this.isParked = false;
    this.source.queue.add(this);
  }

  /** Ends it: at once where it waits, else within a token. */
  abort(reason: unknown): void {
    if (this.isOver) return;
    this.cancel.cancel();
    if (this.isParked) this.failed(reason);
  }

  hear(event: AnswerEvent): void {
    if (event.kind === "frame" && ++this.unread >= MOST_UNREAD) this.cancel.hold(true);
    this.onEvent(event);
  }

  /** The body of its answer; without one it left the engine, and waits for its frames to be read or for its next turn. */
  done(body: string | undefined): void {
    if (body !== undefined) return this.end(() => this.outcome.resolve(body));
    this.isParked = this.unread >= MOST_UNREAD;
    if (!this.isParked) this.source.queue.addAgain(this);
  }

  failed(thrown: unknown): void {
    this.end(() => this.outcome.reject(thrown));
  }

  private end(settle: () => void): void {
    if (this.isOver) return;
    this.isOver = true;
    this.isParked = false;
    this.cancel.free();
    this.work.free();
    settle();
  }
}
