/** Many requests of all kinds, one after another, to `engine.fetch` in a page and to `ocelli serve`. */

export type Send = (path: string, init: RequestInit) => Promise<Response>;

/** The kinds of requests, in turn, with the expected status; `0`: it is aborted. */
const KINDS = { greedy: 200, drawn: 200, format: 200, picture: 200, tool: 200, stream: 200, aborted: 0, refused: 400, tokens: 200 };
type Kind = keyof typeof KINDS;

/** Sends the requests `from` to `to`; returns the failures. Pictures are used in turn. */
export async function sendMany(send: Send, from: number, to: number, pictures: string[]): Promise<string[]> {
  const kinds = Object.keys(KINDS) as Kind[];
  const faults: string[] = [];
  for (let index = from; index < to; index++) {
    const kind = kinds[index % kinds.length] as Kind;
    const status = await sendOne(send, kind, index, pictures).catch((thrown: unknown) => String(thrown));
    if (status !== KINDS[kind]) faults.push(`${index}, ${kind}: ${status}`);
  }
  return faults;
}

async function sendOne(send: Send, kind: Kind, index: number, pictures: string[]): Promise<number> {
  const stop = new AbortController();
  const { path = "/v1/chat/completions", ...body } = bodyOf(kind, index, pictures);
  const reply = await send(path, { method: "POST", body: JSON.stringify(body), signal: stop.signal });
  if (kind !== "aborted") {
    await reply.text();
    return reply.status;
  }
  const reader = reply.body?.getReader();
  await reader?.read();
  stop.abort();
  await reader?.cancel().catch(() => undefined);
  return 0;
}

function bodyOf(kind: Kind, index: number, pictures: string[]): { path?: string } & Record<string, unknown> {
  const ask = (content: unknown, more: object = {}) => ({ messages: [{ role: "user", content }], max_tokens: 3, temperature: 0, ...more });
  const parameters = { type: "object", properties: { n: { const: index } }, required: ["n"], additionalProperties: false };
  switch (kind) {
    case "greedy":
      return ask(`Question ${index}`);
    case "drawn":
      return ask("Hello", { temperature: 1, n: 2, logprobs: true, top_logprobs: 3, frequency_penalty: 0.5, logit_bias: { 2: -5 } });
    case "format":
      return ask("Hello", { response_format: { type: "regex", regex: `a${index}[xy]` }, max_tokens: 20 });
    case "picture":
      return ask([
        { type: "image_url", image_url: { url: pictures[index % pictures.length] } },
        { type: "text", text: "Describe this image." },
      ]);
    case "tool":
      return ask("Hello", { tools: [{ type: "function", function: { name: "f", parameters } }], tool_choice: "required", max_tokens: 40 });
    case "stream":
      return ask(`Tell ${index}`, { stream: true });
    case "aborted":
      return ask(`Tell more of ${index}`, { stream: true, max_tokens: 200, temperature: 1, logit_bias: { 2: -100 } });
    case "refused":
      return ask("Hello", { colour: index });
    case "tokens":
      return { path: "/v1/tokenize", prompt: `How many are ${index}?` };
  }
}
