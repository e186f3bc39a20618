/** One request under way: it waits for its turn, sends its frames, and leaves the engine to others while nobody reads them. */
import { CancelFlag, type AnswerEvent, type OcelliEngine, type OcelliWork } from "../wasm/ocelli.js";
import type { Task, TaskQueue } from "./queue.js";

/** Frames that nobody has read before the engine waits. */
const MOST_UNREAD = 16;

interface Outcome {
  resolve: (body: string) => void;
  reject: (thrown: unknown) => void;
}

export class Answer implements Task {
  private readonly cancel = new CancelFlag();
  private unread = 0;
  /** Left the engine, and waits for its frames to be read. */
  private isParked = false;
  private isOver = false;

  constructor(
    private readonly work: OcelliWork,
    private readonly engine: () => OcelliEngine,
    private readonly queue: TaskQueue,
    private readonly onEvent: (event: AnswerEvent) => void,
    private readonly outcome: Outcome,
  ) {}

  async turn(): Promise<void> {
    if (this.isOver) return;
    try {
      const body = await this.engine().answer(this.work, this.cancel, (event) => this.hear(event));
      if (body === undefined) this.park();
      else this.end(() => this.outcome.resolve(body));
    } catch (thrown) {
      this.end(() => this.outcome.reject(thrown));
    }
  }

  giveWay(gives: boolean): void {
    this.cancel.giveWay(gives);
  }

  /** A frame has been read. */
  read(): void {
    this.unread--;
    if (this.isOver || this.unread >= MOST_UNREAD) return;
    this.cancel.hold(false);
    if (this.isParked) this.park();
  }

  /** Ends it: at once where it waits, else within a token. */
  abort(reason: unknown): void {
    if (this.isOver) return;
    this.cancel.cancel();
    if (this.isParked) this.end(() => this.outcome.reject(reason));
  }

  private hear(event: AnswerEvent): void {
    if (event.kind === "frame" && ++this.unread >= MOST_UNREAD) this.cancel.hold(true);
    this.onEvent(event);
  }

  /** Has it wait for its frames to be read, or for its next turn if they have been. */
  private park(): void {
    this.isParked = this.unread >= MOST_UNREAD;
    if (!this.isParked) this.queue.add(this);
  }

  private end(settle: () => void): void {
    this.isOver = true;
    this.isParked = false;
    this.cancel.free();
    this.work.free();
    settle();
  }
}
