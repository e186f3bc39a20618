/** An endpoint with OpenAI's API whose answers a test determines. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A request for an answer. */
export interface AskedOf {
  key: string | undefined;
  body: {
    model: string;
    stream?: boolean;
    max_tokens: number;
    messages: { role: string; content: string | { type: string; text?: string; image_url?: { url: string } }[] }[];
  };
}

/** The way of the next answers. `halfway` ends the connection in the middle of an answer, `fault` tells an error there. */
export type Manner = "answers" | "halfway" | "fault" | "endless" | "missing" | "busy" | "whole" | "redirects" | "refusesPages";

export interface Endpoint {
  url: string;
  key: string | null;
  manner: Manner;
  /** Requests for answers, except those of a test of the connection. */
  asked: AskedOf[];
  /** Answers whose client has gone. */
  left: number;
  stop(): Promise<void>;
}

export async function startEndpoint(): Promise<Endpoint> {
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint: Endpoint = {
    url: `http://localhost:${(server.address() as AddressInfo).port}/`,
    key: null,
    manner: "answers",
    asked: [],
    left: 0,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { manner, key } = endpoint;
    if (manner !== "refusesPages") {
      response.setHeader("access-control-allow-origin", request.headers.origin ?? "*");
      response.setHeader("access-control-allow-headers", "authorization, content-type");
    }
    if (request.method === "OPTIONS") return void response.writeHead(204).end();
    const fail = (status: number, code: string) => {
      const headers = { "content-type": "application/json" };
      response.writeHead(status, headers).end(JSON.stringify({ error: { code, message: `a ${code}` } }));
    };
    const sent = request.headers.authorization?.replace("Bearer ", "");
    if (key !== null && sent !== key) return fail(401, "invalid_api_key");
    if (manner === "missing") return fail(404, "unknown_url");
    if (manner === "redirects") return void response.writeHead(307, { location: "http://localhost:9/v1/models" }).end();
    if (request.url === "/v1/models") {
      response.writeHead(200, { "content-type": "application/json" });
      return void response.end(JSON.stringify({ data: [{ id: "eye-1" }, { id: "eye-2", owned_by: "somebody" }] }));
    }
    if (request.url !== "/v1/chat/completions") return fail(404, "unknown_url");
    let text = "";
    for await (const part of request) text += String(part);
    const body = JSON.parse(text) as AskedOf["body"];
    if (body.max_tokens > 1) endpoint.asked.push({ key: sent, body });
    if (manner === "busy") return fail(429, "rate_limit_exceeded");
    const { content = "" } = body.messages.at(-1) ?? {};
    const words = typeof content === "string" ? content : content.map(({ text }) => text ?? "").join("");
    const said = `You asked: ${words}`;
    if (manner === "whole" || !body.stream) {
      const choices = [{ index: 0, message: { role: "assistant", content: said }, finish_reason: "stop" }];
      response.writeHead(200, { "content-type": "application/json" });
      return void response.end(JSON.stringify({ choices, usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } }));
    }
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
    response.on("close", () => {
      if (!response.writableFinished) endpoint.left++;
    });
    const write = (data: unknown) => response.write(`data: ${JSON.stringify(data)}\r\n\r\n`);
    // Letters of several bytes come in two pieces.
    for (const piece of said.match(/[\s\S]{1,6}/g) ?? []) {
      write({ choices: [{ index: 0, delta: { content: piece }, finish_reason: null }] });
      if (manner === "answers") continue;
      if (manner === "endless") {
        const timer = setInterval(() => write({ choices: [{ index: 0, delta: { content: "word " }, finish_reason: null }] }), 50);
        return void response.on("close", () => clearInterval(timer));
      }
      if (manner === "halfway") return void setTimeout(() => response.destroy(), 50);
      write({ error: { code: "internal", message: "it broke" } });
      return void response.end();
    }
    write({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
    write({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 } });
    response.end("data: [DONE]\n\n");
  }
  return endpoint;
}
