/** The requests that wait, as the engine takes them and gives them back. Each has a number of its own. */
export interface RequestQueue {
  /** The next one to carry out beside those under way; none where none waits that could be. Asked at every token. */
  next(): OcelliRequest | undefined;
  /** A frame of its stream, or its progress. */
  send(number: number, event: AnswerEvent): void;
  /** The body of its answer. `undefined`: the engine was left to others, and the work can go on. */
  done(number: number, work: OcelliWork, body: string | undefined): void;
  /** What it failed with: `{ code, message, detail }`, or what the worker itself threw. */
  failed(number: number, work: OcelliWork, error: unknown): void;
}
