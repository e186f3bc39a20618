/** An engine as the page sees it. */
import type { DeviceReport, Engine } from "../../src/index.js";

/** The parts of an engine that the page uses. A model on a server has them, too, but no device here. */
export interface PageEngine extends Pick<Engine, "packageUrl" | "chat" | "batch" | "tokenize" | "clearCache" | "unload"> {
  readonly device: DeviceReport | null;
  /** Resolves with the reason once it cannot be used any more. A server has no such end. */
  readonly closed?: Promise<unknown>;
  /** The model's name, if the server has told it. */
  readonly name?: string;
}
