/** The version, licences, and a report about this device. */
import { useState } from "preact/hooks";
import { deviceReport, version } from "../../state/report.js";
import { settingWords } from "../../words/settings.js";

export function About() {
  const texts = settingWords.about;
  const [told, setTold] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(await deviceReport());
      setTold(texts.copied);
    } catch {
      setTold(texts.notCopied);
    }
  };
  return (
    <>
      <p>
        <strong id="version">{texts.version(version)}</strong>
      </p>
      <p>{texts.what}</p>
      <ul class="links">
        <li>
          <a href="LICENSES-page.txt">{texts.licences}</a>
        </li>
        <li>
          <a href="ocelli/THIRD-PARTY.txt">{texts.engineLicences}</a>
        </li>
      </ul>
      <button type="button" id="copy-report" onClick={() => void copy()}>
        {texts.report}
      </button>
      <p role="status">{told}</p>
    </>
  );
}
