/** Settings of answers. What is not set is the model's own. */
import { announce } from "../../state/announce.js";
import { current, engine, reload } from "../../state/engine.js";
import { answering, contextTokens, instruction, longestAnswer, SAMPLING, thinking, type Thinking } from "../../state/settings.js";
import { settingWords } from "../../words/settings.js";
import { Choice, describedBy, Field, NumberField } from "./controls.js";

/** Tokens of the longest answer and of the longest conversation to choose from. */
const ANSWER_SIZES = [256, 512, 1024, 2048, 4096];
const CONTEXT_SIZES = [4096, 8192, 16_384];

/** Limits of OpenAI's API, and of a number that the engine takes as a seed. */
const LIMITS: Readonly<Record<(typeof SAMPLING)[number], { min: number; max: number; step: number | "any" }>> = {
  temperature: { min: 0, max: 2, step: "any" },
  top_p: { min: 0, max: 1, step: "any" },
  top_k: { min: 0, max: 1000, step: 1 },
  min_p: { min: 0, max: 1, step: "any" },
  frequency_penalty: { min: -2, max: 2, step: "any" },
  presence_penalty: { min: -2, max: 2, step: "any" },
  seed: { min: 0, max: 2 ** 31 - 1, step: 1 },
};

/** Families that can think before they answer. */
const THINKING = ["gemma4", "minicpmv4_6", "qwen3_5"];

export function Answers() {
  const texts = settingWords.answers;
  const { config } = (engine.value ?? {}) as { config?: { family?: unknown } };
  const isOnServer = current.value?.server !== undefined;
  const thinks = THINKING.includes(String(config?.family));
  return (
    <>
      <p>{texts.about}</p>
      <Field id="instruction" label={texts.instruction} help={texts.instructionHelp}>
        <textarea
          id="instruction"
          rows={3}
          dir="auto"
          value={instruction.value}
          {...describedBy("instruction", texts.instructionHelp)}
          onInput={(event) => {
            instruction.value = event.currentTarget.value;
          }}
        />
      </Field>
      <Choice
        id="longest-answer"
        label={texts.longest}
        value={longestAnswer.value}
        options={[[null, texts.longestOwn], ...ANSWER_SIZES.map((size) => [size, texts.longestOf(size)] as const)]}
        onChange={(tokens) => {
          longestAnswer.value = tokens;
        }}
      />
      <Choice<Thinking>
        id="thinking"
        label={texts.thinking}
        {...(engine.value && !thinks && !isOnServer ? { help: texts.thinkingNone } : {})}
        value={thinking.value}
        options={[[null, texts.own], ...(Object.entries(texts.thinkings) as [Thinking, string][])]}
        onChange={(amount) => {
          thinking.value = amount;
        }}
      />
      {SAMPLING.map((field) => (
        <NumberField
          key={field}
          id={field}
          label={texts[field]}
          {...(field === "seed" ? { help: texts.seedHelp } : {})}
          placeholder={texts.own}
          value={answering.value[field]}
          {...LIMITS[field]}
          onChange={(value) => {
            const { [field]: _, ...others } = answering.value;
            answering.value = value === undefined ? others : { ...others, [field]: value };
          }}
        />
      ))}
      {!isOnServer && (
        <Choice
          id="context"
          label={texts.context}
          help={texts.reloads}
          value={contextTokens.value}
          options={[[null, texts.own], ...CONTEXT_SIZES.map((size) => [size, texts.contextOf(size)] as const)]}
          onChange={(tokens) => {
            contextTokens.value = tokens;
            void reload();
          }}
        />
      )}
      <button type="button" id="reset-answers" onClick={reset}>
        {texts.reset}
      </button>
    </>
  );
}

function reset(): void {
  const hadContext = contextTokens.value !== null;
  [answering.value, instruction.value] = [{}, ""];
  [longestAnswer.value, thinking.value, contextTokens.value] = [null, null, null];
  announce(settingWords.answers.wasReset);
  if (hadContext) void reload();
}
