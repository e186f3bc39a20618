/** The promises of the page, and its requests to other sites. */
import { current } from "../../state/engine.js";
import { requests } from "../../state/requests.js";
import { language } from "../../words/language.js";
import { settingWords } from "../../words/settings.js";
import { SentTo } from "../sent-to.js";

export function Privacy() {
  const texts = settingWords.privacy;
  const isSeen = navigator.serviceWorker?.controller != null;
  const time = new Intl.DateTimeFormat(language.value === "xx" ? "en" : language.value, { timeStyle: "medium" });
  return (
    <>
      <SentTo server={current.value?.server} />
      {texts.promises.map((promise) => (
        <p key={promise}>{promise}</p>
      ))}
      <h3>{texts.requests}</h3>
      {!isSeen ? <p class="fine">{texts.notSeen}</p> : requests.value.length === 0 && <p id="no-requests">{texts.none}</p>}
      <ul id="requests">
        {requests.value.map(({ at, address }, index) => (
          <li key={String(index)}>{texts.request(time.format(at), address)}</li>
        ))}
      </ul>
    </>
  );
}
