/** An answer that streams into a component. */
import { useCallback, useEffect, useRef, useState } from "react";
import type { ChatCompletionRequest, Engine } from "../index.js";

/** State of an answer. `stopped`: ended by `stop()` with the text so far. */
export type AnswerState =
  | { status: "idle" | "answering" | "done" | "stopped"; text: string; error: null }
  | { status: "failed"; text: string; error: unknown };

/** An answer, and functions that ask and stop. */
export type Answer = AnswerState & {
  /** Asks, after stopping the answer in progress. Resolves to the whole text, also if it was stopped or failed. */
  ask(request: Omit<ChatCompletionRequest, "stream">): Promise<string>;
  /** Stops the answer in progress. */
  stop(): void;
};

const NOTHING: AnswerState = { status: "idle", text: "", error: null };

/** The last answer of this component. An answer is stopped when the component unmounts or the engine changes. */
export function useAnswer(engine: Engine | null): Answer {
  const [state, setState] = useState<AnswerState>(NOTHING);
  const running = useRef<AbortController | null>(null);
  const stop = useCallback(() => running.current?.abort(), []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the answer of another engine stops.
  useEffect(() => stop, [engine, stop]);
  const ask = useCallback(
    async (request: Omit<ChatCompletionRequest, "stream">): Promise<string> => {
      running.current?.abort();
      if (!engine) {
        setState({ status: "failed", text: "", error: new Error("the model is not loaded yet") });
        return "";
      }
      const own = new AbortController();
      running.current = own;
      let text = "";
      const set = (state: AnswerState) => {
        if (running.current === own) setState(state);
      };
      set({ status: "answering", text, error: null });
      try {
        const stream = await engine.chat.completions.create({ ...request, stream: true }, { signal: own.signal });
        for await (const { choices } of stream) {
          text += choices[0]?.delta.content ?? "";
          set({ status: "answering", text, error: null });
        }
        set({ status: "done", text, error: null });
      } catch (error) {
        set(own.signal.aborted ? { status: "stopped", text, error: null } : { status: "failed", text, error });
      }
      return text;
    },
    [engine],
  );
  return { ...state, ask, stop };
}
