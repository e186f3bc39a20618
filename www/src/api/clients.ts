/** Ready options for clients of the OpenAI API. */
import type { Fetch } from "./fetch.js";

/** A day. Clients give up after ten minutes unless told otherwise, which a slow device may need for a long answer. */
const TIMEOUT = 24 * 60 * 60 * 1000;

/** What `new OpenAI(engine.openai())` of the package `openai` takes. */
export interface OpenAIOptions {
  baseURL: string;
  /** Not checked; the client refuses an empty one. */
  apiKey: string;
  fetch: Fetch;
  /** There is no key to be stolen. */
  dangerouslyAllowBrowser: true;
  /** What fails on this device fails again. */
  maxRetries: 0;
  timeout: number;
}

/** What `createOpenAICompatible(engine.aiSdk())` of the package `@ai-sdk/openai-compatible` takes. */
export interface AiSdkOptions {
  name: string;
  baseURL: string;
  apiKey: string;
  fetch: typeof globalThis.fetch;
  includeUsage: true;
  supportsStructuredOutputs: true;
  /** Pictures that are passed on by address: the engine reads what the page can. */
  supportedUrls: () => Record<string, RegExp[]>;
}

/** Never asked: the engine answers in its place. */
const BASE_URL = "http://localhost/v1";
const API_KEY = "none";

export function openAIOptions(fetch: Fetch): OpenAIOptions {
  return { baseURL: BASE_URL, apiKey: API_KEY, fetch, dangerouslyAllowBrowser: true, maxRetries: 0, timeout: TIMEOUT };
}

export function aiSdkOptions(fetch: Fetch): AiSdkOptions {
  return {
    name: "ocelli",
    baseURL: BASE_URL,
    apiKey: API_KEY,
    fetch: fetch as typeof globalThis.fetch,
    includeUsage: true,
    supportsStructuredOutputs: true,
    supportedUrls: () => ({ "image/*": [/^https?:/, /^blob:/, /^data:/] }),
  };
}
