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
  /** Requests of albums: what was in the picture's file, and the turns about it. */
  const described: { file: string; turns: string[] }[] = [];
  /** `delayMs`: time that a picture of an album takes. `isHeld`: no picture is completed. `isLost`: the device is. */
  const pace = { delayMs: 10, isHeld: false, isLost: false };
  const page = Object.assign(window as Window & { sayNext?: string; fakeFamily?: string }, { cancelled, asked, sent, described, pace });

  /** Describes a picture by the text in its file. */
  async function describe(body: string): Promise<{ status: number; body: string; may_retry: null }> {
    const failed = (status: number, code: string) => ({
      status,
      body: JSON.stringify({ error: { code, message: `a ${code}` } }),
      may_retry: null,
    });
    interface Part {
      text?: string;
      image_url?: { url: string };
    }
    const { messages } = JSON.parse(body) as { messages: { content: string | Part[] }[] };
    const parts = messages.flatMap(({ content }): Part[] => (typeof content === "string" ? [{ text: content }] : content));
    const url = parts.find(({ image_url }) => image_url)?.image_url?.url ?? "";
    const file = (await (await fetch(url)).text()).slice(0, 60);
    const turns = parts.flatMap(({ text }) => text ?? []);
    described.push({ file, turns });
    const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
    await sleep(pace.delayMs);
    while (pace.isHeld) await sleep(20);
    if (pace.isLost) return failed(503, "device_lost");
    if (file.includes("broken")) return failed(400, "image_parse_error");
    if (file.includes("faulty")) return failed(500, "internal");
    const asked = turns.at(-1) ?? "";
    const nonce = Math.random().toString(36).slice(2, 8);
    const text = file.includes("ornament")
      ? "DECORATIVE."
      : /^Shorten/.test(asked)
        ? "A short one."
        : /in full for somebody/.test(asked)
          ? `Everything about ${file}.`
          : file.includes("verbose")
            ? "word ".repeat(60)
            : `“A text about ${file} ${nonce}”`;
    const choices = [
      { index: 0, message: { role: "assistant", content: text }, finish_reason: file.includes("endless") ? "length" : "stop" },
    ];
    const usage = { prompt_tokens: 5, completion_tokens: 3, total_tokens: 8, ocelli: {} };
    return { status: 200, body: JSON.stringify({ choices, usage }), may_retry: null };
  }

  /** Paragraphs, a list, code and a table, over and over. */
  const text =
    "Some **words** of an answer with `code` and a [link](https://host.invalid/) in it, which make a paragraph of a few lines on the page.\n\n" +
    "- one thing\n- another thing\n\n```js\nconst answer = 42;\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n";
  const tokens = text.match(/\s*\S{1,6}|\s+$/g) ?? [];
  const token = (index: number) => tokens[index % tokens.length] ?? "";

  class FakeWorker extends EventTarget {
    postMessage(message: { kind: string; id: number; body?: string }): void {
      const reply = (data: unknown) => setTimeout(() => this.dispatchEvent(new MessageEvent("message", { data })));
      const { kind, id } = message;
      if (kind === "read") return;
      if (kind === "fetch") {
        void describe(message.body ?? "").then((result) => cancelled.includes(id) || reply({ kind: "result", id, result }));
        return;
      }
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
        reply({ kind: "result", id, result: { device, kvPrecision: "f32", memory, config: { family: page.fakeFamily }, mostTogether: 2 } });
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
      } else if (question.includes("200 tokens a second")) {
        const started = performance.now();
        let said = 0;
        const timer = setInterval(() => {
          if (cancelled.includes(id)) return clearInterval(timer);
          for (; said < (performance.now() - started) / 5; said++) say(token(said));
        }, 10);
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
  const { Worker: RealWorker } = window;
  // Only the engine's is replaced.
  const Chosen = new Proxy(FakeWorker, {
    construct: (Fake, [url]: [string | URL]) => (String(url) === "server-worker.js" ? new RealWorker(url) : new Fake()),
  });
  Object.assign(window, { Worker: Chosen });
}
