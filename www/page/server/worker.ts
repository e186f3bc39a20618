/**
 * One request to the server that answers. It is made here because this script has a policy of its own, by which it may reach other sites, and it
 * shows nothing; the page, which shows what models write, may not. The page ends the request by terminating the worker.
 */

/** The request to make. */
export interface Asked {
  url: string;
  init: RequestInit;
}

/** A part of the response: its head first, then its text; at last `isDone` or `failure`. */
export interface Told {
  status?: number;
  type?: string;
  text?: string;
  isDone?: boolean;
  failure?: string;
}

const tell = (told: Told) => self.postMessage(told);

self.onmessage = async ({ data: { url, init } }: MessageEvent<Asked>) => {
  try {
    // A redirection would send pictures to a site that the user has not named.
    const fixed: RequestInit = { credentials: "omit", redirect: "error", referrerPolicy: "no-referrer", cache: "no-store" };
    const response = await fetch(url, { ...init, ...fixed });
    tell({ status: response.status, type: response.headers.get("content-type") ?? "" });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) tell({ text: part.value });
    tell({ isDone: true });
  } catch (thrown) {
    tell({ failure: String(thrown) });
  }
};
