/** Settings of the whole page. */
import { useState } from "preact/hooks";
import { chooseLanguage, chosenLanguage, theme, type Theme } from "../../state/appearance.js";
import { openDialog } from "../../state/dialog.js";
import { announces, describesAtOnce, keepsScreenOn, singleKeys, type Announces } from "../../state/settings.js";
import { language, LANGUAGE_NAMES } from "../../words/language.js";
import { settingWords } from "../../words/settings.js";
import { Choice, Switch } from "./controls.js";

/** Set while another language is chosen: the views are made anew in it, and the focus stays on the choice. */
export const languageFocus = { isWanted: false };

export function General() {
  const texts = settingWords.general;
  const [isFailed, setFailed] = useState(false);
  const names = Object.entries(LANGUAGE_NAMES) as [keyof typeof LANGUAGE_NAMES, string][];
  const choose = async (tag: keyof typeof LANGUAGE_NAMES | null) => {
    const before = language.value;
    languageFocus.isWanted = true;
    setFailed(!(await chooseLanguage(tag)));
    if (language.value === before) languageFocus.isWanted = false;
  };
  return (
    <>
      <Choice
        id="language"
        label={texts.language}
        value={chosenLanguage.value}
        options={[[null, texts.ofBrowser], ...names]}
        onChange={(tag) => void choose(tag)}
      />
      {isFailed && <p role="alert">{texts.languageFailed}</p>}
      <Choice<Theme>
        id="theme"
        label={texts.theme}
        value={theme.value}
        options={Object.entries(texts.themes) as [Theme, string][]}
        onChange={(name) => {
          theme.value = name ?? "system";
        }}
      />
      <Switch id="at-once" label={texts.atOnce} setting={describesAtOnce} />
      <Switch id="single-keys" label={texts.singleKeys} help={texts.singleKeysHelp} setting={singleKeys} />
      <button type="button" id="all-keys" onClick={() => openDialog({ kind: "keys" })}>
        {texts.keys}
      </button>
      <Choice<Announces>
        id="announces"
        label={texts.announces}
        value={announces.value}
        options={Object.entries(texts.announceKinds) as [Announces, string][]}
        onChange={(kind) => {
          announces.value = kind ?? "sentences";
        }}
      />
      <Switch id="screen-on" label={texts.screenOn} setting={keepsScreenOn} />
    </>
  );
}
