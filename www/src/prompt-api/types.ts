/** The dictionaries of the Prompt API, https://webmachinelearning.github.io/prompt-api/. */

export type Role = "system" | "user" | "assistant";

/** A piece of a message. Audio is refused. */
export interface MessageContent {
  type: "text" | "image" | "audio" | "tool-call" | "tool-response";
  value: string | ImageBitmapSource | BufferSource | AudioBuffer;
}

export interface PromptMessage {
  role: Role;
  /** A string is one text. */
  content: string | MessageContent[];
  /** Only for a last message of the assistant: the answer continues it. */
  prefix?: boolean;
}

/** A string is one message of the user. */
export type Prompt = string | PromptMessage[];

/** A tool that the model may call. */
export interface PromptTool {
  name: string;
  description: string;
  /** A JSON schema, which the model's arguments always match. */
  inputSchema: object;
  /** Called with the arguments as one object. */
  execute: (input: never) => Promise<string> | string;
}

export interface Expected {
  type: MessageContent["type"];
  languages?: string[];
}

export type SamplingMode = "most-predictable" | "predictable" | "default" | "balanced" | "creative" | "most-creative";

export interface CoreOptions {
  /** Excludes `topK` and `temperature`. */
  samplingMode?: SamplingMode;
  topK?: number;
  temperature?: number;
  /** Pictures must be announced here. */
  expectedInputs?: Expected[];
  expectedOutputs?: Expected[];
  tools?: PromptTool[];
}

/** Target of `downloadprogress` events. */
export interface Monitor extends EventTarget {
  ondownloadprogress: ((event: ProgressEvent) => unknown) | null;
  addEventListener(
    type: "downloadprogress",
    listener: (event: ProgressEvent) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}

export interface CreateOptions extends CoreOptions {
  /** Ends the session, also after its creation. */
  signal?: AbortSignal;
  /** Receives the target of `downloadprogress` events. */
  monitor?: (monitor: Monitor) => void;
  initialPrompts?: PromptMessage[];
}

export interface PromptOptions {
  /** A JSON schema, or a regular expression for the whole answer. */
  responseConstraint?: object;
  /** If true, the constraint is not mentioned to the model. */
  omitResponseConstraintInput?: boolean;
  signal?: AbortSignal;
}

/** Sampling values of older code. */
export interface Params {
  readonly defaultTopK: number;
  readonly maxTopK: number;
  readonly defaultTemperature: number;
  readonly maxTemperature: number;
}

export type Availability = "unavailable" | "downloadable" | "downloading" | "available";
