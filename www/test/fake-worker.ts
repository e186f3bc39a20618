/**
 * Replaces the engine's worker in the page, for answers that no small model gives on demand. Runs before the page's own scripts and
 * implements `worker/protocol.ts`; the question, or `sayNext` of the window, determines the answer.
 */
export function fakeWorker(): void {
  const cancelled: number[] = [];
  /** Bodies of all requests for answers. */
  const asked: unknown[] = [];
  /** Their pictures. */
  const sent: unknown[][] = [];
  const page = Object.assign(window as Window & { sayNext?: string; fakeFamily?: string }, { cancelled, asked, sent });

  class FakeWorker extends EventTarget {
    postMessage(message: { kind: string; id: number; body?: string }): void {
      const reply = (data: unknown) => setTimeout(() => this.dispatchEvent(new MessageEvent("message", { data })));
      const { kind, id } = message;
      if (kind === "read") return;
      const body = JSON.parse(message.body ?? '{"messages":[]}') as { messages: { role?: string; content?: unknown }[] };
      const { messages } = body;
      // Counts of tokens, and questions about a schema, are no requests for answers.
      const isCount = (message as { path?: string }).path === "/v1/tokenize";
      if (isCount) {
        reply({ kind: "result", id, result: JSON.stringify({ count: 100, max_model_len: 4096, tokens: [] }) });
        return;
      }
      const isCheck = (body as { max_tokens?: number }).max_tokens === 1;
      if (kind === "answer" && !isCheck) {
        asked.push(body);
        sent.push((message as { pictures?: unknown[] }).pictures ?? []);
      }
      const question = JSON.stringify(messages.at(-1) ?? "");
      const { content } = messages.at(-1) ?? {};
      const texts = Array.isArray(content) ? (content as { text?: string }[]).map(({ text }) => text ?? "") : [String(content)];
      /** The answer that the question asks for. */
      const wanted = page.sayNext ?? /say: ([\s\S]*)/.exec(texts.join(""))?.[1];
      const frame = (data: unknown) => reply({ kind: "event", id, event: { kind: "frame", event: null, data: JSON.stringify(data) } });
      const chunk = (choices: unknown[], more = {}) =>
        frame({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "fake", choices, ...more });
      const say = (content: string) => chunk([{ index: 0, delta: { content }, finish_reason: null, logprobs: null }]);
      const finish = (reason = "stop") => {
        chunk([{ index: 0, delta: {}, finish_reason: reason, logprobs: null }]);
        chunk([], { usage: { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8 } });
        reply({ kind: "result", id, result: "{}" });
      };
      if (kind === "load") {
        const device = { name: "fake", backend: "none", features: [] };
        const memory = { plan: {}, purposes: [], peak: 0 };
        reply({ kind: "result", id, result: { device, kvPrecision: "f32", memory, config: { family: page.fakeFamily } } });
      } else if (kind === "cancel") {
        cancelled.push(id);
      } else if (kind === "answer" && (message.body ?? "").includes('"not":')) {
        const detail = { pointer: "/properties/a", keyword: "not", reason: "this cannot be held" };
        reply({ kind: "error", id, error: { code: "unsupported-schema", message: "/properties/a: not: this cannot be held", detail } });
      } else if (isCheck) {
        finish();
      } else if (wanted !== undefined) {
        delete page.sayNext;
        for (const piece of wanted.match(/[\s\S]{1,9}/g) ?? []) say(piece);
        finish();
      } else if (question.includes("endless")) {
        const timer = setInterval(() => (cancelled.includes(id) ? clearInterval(timer) : say("word ")), 20);
      } else if (messages.at(-1)?.role === "assistant") {
        say(" and more.");
        finish();
      } else if (question.includes("too long")) {
        say("It begins");
        finish("length");
      } else if (question.includes("echo")) {
        say(`Answer ${asked.length}`);
        finish();
      } else if (question.includes("how detailed")) {
        say(/"detail":"(\w+)"/.exec(question)?.[1] ?? "no detail");
        finish();
      } else if (question.includes("markup")) {
        const text = '<img src=x onerror="window.hacked=1"><b>bold</b>';
        for (const piece of text.match(/.{1,7}/g) ?? []) say(piece);
        finish();
      } else if (question.includes("overflow")) {
        const error = {
          code: "context-overflow",
          message: "900 tokens do not fit the context of 512",
          detail: { tokens: 900, context: 512 },
        };
        reply({ kind: "error", id, error });
      } else {
        for (const piece of ["A ", "short ", "answer."]) say(piece);
        finish();
      }
    }
    terminate(): void {}
  }
  Object.assign(window, { Worker: FakeWorker });
}
