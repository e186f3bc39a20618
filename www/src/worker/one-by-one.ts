/** A request that has the engine to itself. */
import type { OcelliEngine } from "../wasm/ocelli.js";
import type { Answer, Counted, Turn } from "./answer.js";
import type { TaskQueue } from "./queue.js";

export class OneByOne implements Turn {
  constructor(
    private readonly answer: Answer,
    private readonly queue: TaskQueue,
  ) {}

  async run(engine: OcelliEngine): Promise<void> {
    const { answer } = this;
    this.giveWay();
    answer.done(await (answer.counted ? this.count(engine, answer.counted) : this.carryOut(engine)));
  }

  giveWay(): void {
    this.answer.urge(this.queue.next);
  }

  private carryOut(engine: OcelliEngine): Promise<string | undefined> {
    const { answer } = this;
    return engine.answer(answer.work, answer.cancel, (event) => answer.hear(event));
  }

  private async count(engine: OcelliEngine, counted: Counted): Promise<string | undefined> {
    const { cancel, work } = this.answer;
    const { bill } = counted;
    const { tokens, ms } = await bill.begin(engine.promptTokens(work));
    counted.onBegin?.();
    counted.onBegin = undefined;
    cancel.allow(tokens, ms);
    let body: string | undefined;
    try {
      return (body = await this.carryOut(engine));
    } finally {
      await bill.took(cancel.spent(), body);
    }
  }
}
