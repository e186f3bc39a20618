/** Ready options for clients of the OpenAI API. */
import type { Fetch } from "./fetch.js";

/** A day. Clients give up after ten minutes by default; a slow device may need longer for a long answer. */
const TIMEOUT = 24 * 60 * 60 * 1000;

/** Options of `new OpenAI(engine.openai())` of the package `openai`. */
export interface OpenAIOptions {
  baseURL: string;
  /** Not checked; the client refuses an empty one. */
  apiKey: string;
  fetch: Fetch;
  /** Safe, because there is no key to steal. */
  dangerouslyAllowBrowser: true;
  /** A failure on this device would occur again. */
  maxRetries: 0;
  timeout: number;
}

/** Options of `createOpenAICompatible(engine.aiSdk())` of the package `@ai-sdk/openai-compatible`. */
export interface AiSdkOptions {
  name: string;
  baseURL: string;
  apiKey: string;
  fetch: typeof globalThis.fetch;
  includeUsage: true;
  supportsStructuredOutputs: true;
  /** Picture addresses that are passed on unread: the engine reads every address that the page can read. */
  supportedUrls: () => Record<string, RegExp[]>;
}

/** Options of `new Anthropic(engine.anthropic())` of the package `@anthropic-ai/sdk`. */
export type AnthropicOptions = OpenAIOptions;

/** No request is sent to it: the engine answers instead. */
const ORIGIN = "http://localhost";
const BASE_URL = `${ORIGIN}/v1`;
const API_KEY = "none";

export function openAIOptions(fetch: Fetch): OpenAIOptions {
  return { baseURL: BASE_URL, apiKey: API_KEY, fetch, dangerouslyAllowBrowser: true, maxRetries: 0, timeout: TIMEOUT };
}

/** The client adds the version of the API to the address itself. */
export function anthropicOptions(fetch: Fetch): AnthropicOptions {
  return { ...openAIOptions(fetch), baseURL: ORIGIN };
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
