/** Requests, answered several at once, and conversations in files. */
import { OcelliRequest, CancelFlag, type AnswerEvent, type OcelliEngine, type OcelliWork, type RequestQueue } from "../wasm/ocelli.js";
import { SnapshotFolder } from "../store/snapshots.js";
import { Answer, type Turn } from "./answer.js";
import { Keeper } from "./keeper.js";
import { OneByOne } from "./one-by-one.js";
import type { TaskQueue } from "./queue.js";

/** Has the engine keep conversations in files of at most so many bytes, and go on with those that are there. */
export async function keepConversations(engine: OcelliEngine, bytes: number, queue: TaskQueue): Promise<void> {
  await engine.openSnapshots(await SnapshotFolder.open(), bytes);
  queue.whenIdle(() => new Keeper(engine, new CancelFlag()));
}

/** What the engine does from a request's turn on, until it has answered all that could be answered beside it. */
export function turn(first: Answer, queue: TaskQueue): Turn {
  // What budgets allow one request is known when the one before it has ended.
  return first.counted ? new OneByOne(first, queue) : new SideBySide(first, queue);
}

class SideBySide implements Turn, RequestQueue {
  private readonly open = new Map<number, Answer>();
  private begun = 0;

  constructor(
    private first: Answer | null,
    private readonly queue: TaskQueue,
  ) {}

  run(engine: OcelliEngine): Promise<void> {
    return engine.answerTogether(this);
  }

  giveWay(): void {
    const { next } = this.queue;
    for (const answer of this.open.values()) {
      answer.urge(next);
      answer.cancel.makeRoom(this.canJoin(next));
    }
  }

  next(): OcelliRequest | undefined {
    const answer = this.take();
    if (!answer) return undefined;
    this.open.set(++this.begun, answer);
    this.giveWay();
    return new OcelliRequest(this.begun, answer.work, answer.cancel);
  }

  send(number: number, event: AnswerEvent): void {
    this.open.get(number)?.hear(event);
  }

  done(number: number, work: OcelliWork, body: string | undefined): void {
    this.leave(number, work)?.done(body);
  }

  failed(number: number, work: OcelliWork, error: unknown): void {
    this.leave(number, work)?.failed(error);
  }

  private take(): Answer | undefined {
    const { first } = this;
    this.first = null;
    if (first) return first;
    while (this.canJoin(this.queue.next)) {
      const answer = this.queue.take();
      if (answer instanceof Answer && !answer.isOver) return answer;
    }
    return undefined;
  }

  /** Those of a batch join each other alone. */
  private canJoin(next: unknown): boolean {
    return next instanceof Answer && !next.counted && (!next.isBatch || [...this.open.values()].every(({ isBatch }) => isBatch));
  }

  private leave(number: number, work: OcelliWork): Answer | undefined {
    const answer = this.open.get(number);
    this.open.delete(number);
    if (answer) answer.work = work;
    return answer;
  }
}
