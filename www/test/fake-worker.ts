/**
 * Stands for the engine's worker in the page, to say what no small model can be made to say on demand. Runs before the
 * page's own scripts and speaks `protocol.ts`; the question decides the answer.
 */
export function fakeWorker(): void {
  const cancelled: number[] = [];
  Object.assign(window, { cancelled });

  class FakeWorker extends EventTarget {
    postMessage(message: { kind: string; id: number; body?: string }): void {
      const reply = (data: unknown) => setTimeout(() => this.dispatchEvent(new MessageEvent("message", { data })));
      const { kind, id } = message;
      const { messages } = JSON.parse(message.body ?? '{"messages":[]}') as { messages: unknown[] };
      const question = JSON.stringify(messages.at(-1) ?? "");
      const result = (text: string) =>
        reply({
          kind: "result",
          id,
          result: { text, finish_reason: "stop", usage: { prompt_tokens: 5, completion_tokens: 3, cached_tokens: 0, drafted_tokens: 4, accepted_tokens: 3 }, timings: {} },
        });
      const say = (text: string) => reply({ kind: "event", id, event: { kind: "text", text } });
      if (kind === "load") {
        reply({ kind: "result", id, result: { device: { name: "fake", backend: "none", features: [] }, kvPrecision: "f32", memory: { plan: {}, purposes: [], peak: 0 }, config: {} } });
      } else if (kind === "cancel") {
        cancelled.push(id);
      } else if (question.includes("endless")) {
        const timer = setInterval(() => (cancelled.includes(id) ? clearInterval(timer) : say("word ")), 20);
      } else if (question.includes("markup")) {
        const text = '<img src=x onerror="window.hacked=1"><b>bold</b>';
        for (const piece of text.match(/.{1,7}/g) ?? []) say(piece);
        result(text);
      } else if (question.includes("overflow")) {
        const error = { code: "context-overflow", message: "900 tokens do not fit the context of 512", detail: { tokens: 900, context: 512 } };
        reply({ kind: "error", id, error });
      } else {
        for (const piece of ["A ", "short ", "answer."]) say(piece);
        result("A short answer.");
      }
    }
    terminate(): void {}
  }
  Object.assign(window, { Worker: FakeWorker });
}
