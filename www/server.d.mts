import type { IncomingMessage, ServerResponse } from "node:http";

export interface Server {
  url: string;
  close(): Promise<void>;
}

export function serve(
  folder: string,
  port?: number,
  onRequest?: (path: string, request: IncomingMessage, response: ServerResponse) => boolean,
  headers?: (path: string) => Record<string, string>,
): Promise<Server>;
