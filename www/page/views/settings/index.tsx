/** Settings: a section at a time. Also the list of keys, and pictures that another program has shared. */
import { useEffect } from "preact/hooks";
import { addressOf, SECTIONS, type Section } from "../../state/route.js";
import { settingWords } from "../../words/settings.js";
import { About } from "./about.js";
import { Answers } from "./answers.js";
import { Data } from "./data.js";
import { General, languageFocus } from "./general.js";
import { Pictures } from "./pictures.js";
import { Privacy } from "./privacy.js";
import { Server } from "./server.js";
import { Tasks } from "./tasks.js";

export { InboxView } from "./inbox.js";
export { KeysDialog } from "./keys.js";

const VIEWS = {
  general: General,
  answers: Answers,
  server: Server,
  pictures: Pictures,
  tasks: Tasks,
  data: Data,
  privacy: Privacy,
  about: About,
};

export function SettingsView({ section }: { section: Section }) {
  const View = VIEWS[section];
  // Read while rendering: a language may be chosen before the effect of these views runs, and the wish is for the next ones.
  const { isWanted } = languageFocus;
  useEffect(() => {
    document.getElementById(isWanted ? "language" : "settings-heading")?.focus();
    if (isWanted) languageFocus.isWanted = false;
  }, []);
  return (
    <section class="talk settings" aria-labelledby="settings-heading">
      <h2 id="settings-heading" tabIndex={-1}>
        {settingWords.title(settingWords.sections[section])}
      </h2>
      <nav aria-label={settingWords.heading}>
        <ul class="sections">
          {SECTIONS.map((each) => (
            <li key={each}>
              <a href={addressOf({ view: "settings", section: each })} aria-current={each === section ? "page" : undefined}>
                {settingWords.sections[each]}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <View />
    </section>
  );
}
