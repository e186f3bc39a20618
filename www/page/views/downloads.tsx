/** Downloads that run, wait or were paused. */
import { downloads, forgetDownload, pauseDownload, type Download } from "../state/downloads.js";
import { get } from "../state/session.js";
import { words } from "../words/index.js";
import { modelWords } from "../words/models.js";
import { adviceOf } from "./problem.js";

export function DownloadList() {
  const all = [...downloads.value];
  return (
    <ul class="notices" id="downloads" aria-label={modelWords.downloads.label}>
      {all.map(([key, download]) => (
        <Row key={key} download={download} />
      ))}
    </ul>
  );
}

function Row({ download }: { download: Download }) {
  const { model, state, loaded, total } = download;
  const isActive = state === "running" || state === "queued";
  const text = textOf(download);
  return (
    <li class="notice">
      <p>{text}</p>
      {isActive && <progress aria-label={text} {...(total > 0 ? { max: total, value: loaded } : {})} />}
      {isActive ? (
        <button type="button" aria-label={modelWords.downloads.pause(model.name)} onClick={() => pauseDownload(model.source)}>
          {words.models.pause}
        </button>
      ) : (
        <>
          <button type="button" aria-label={modelWords.downloads.resume(model.name)} onClick={() => void get(model)}>
            {words.models.resume}
          </button>
          <button
            type="button"
            class="quiet"
            aria-label={modelWords.downloads.discard(model.name)}
            onClick={() => forgetDownload(model.source)}
          >
            {words.close}
          </button>
        </>
      )}
    </li>
  );
}

function textOf({ model: { name }, state, loaded, total, rate, problem }: Download): string {
  const { downloads: texts } = modelWords;
  if (state === "queued") return texts.queued(name);
  if (state === "running") return texts.running(name, loaded, total, rate);
  if (state === "failed") return texts.failed(name, adviceOf({ code: problem?.code ?? "" }).title);
  return texts.paused(name, loaded, total);
}
