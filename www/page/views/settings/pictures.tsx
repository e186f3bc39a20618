/** Settings of pictures. */
import type { Detail } from "../../../src/index.js";
import { current, reload } from "../../state/engine.js";
import { look, pictureSeconds } from "../../state/settings.js";
import { words } from "../../words/index.js";
import { settingWords } from "../../words/settings.js";
import { Choice } from "./controls.js";

const SECONDS = [2, 5, 10, 20, 60];
/** The engine's own. */
const DEFAULT = 10;

export function Pictures() {
  const texts = settingWords.pictures;
  return (
    <>
      <Choice<Detail>
        id="default-look"
        label={texts.look}
        value={look.value}
        options={(["low", "auto", "high"] as const).map((each) => [each, words.question.looks[each]] as const)}
        onChange={(detail) => {
          look.value = detail ?? "auto";
        }}
      />
      {!current.value?.server && (
        <Choice
          id="picture-seconds"
          label={texts.seconds}
          help={settingWords.answers.reloads}
          value={pictureSeconds.value ?? DEFAULT}
          options={SECONDS.map((seconds) => [seconds, texts.secondsOf(seconds)] as const)}
          onChange={(seconds) => {
            pictureSeconds.value = seconds === DEFAULT ? null : seconds;
            void reload();
          }}
        />
      )}
    </>
  );
}
