/** Pictures that another program has shared with the installed page. */
import { useEffect, useState } from "preact/hooks";
import { discardShared, givenForAlbum, sharedPictures, takeShared } from "../../state/inbox.js";
import { go } from "../../state/route.js";
import { addFiles } from "../../state/session.js";
import { settingWords } from "../../words/settings.js";

export function InboxView({ isFull }: { isFull: boolean }) {
  const texts = settingWords.inbox;
  const [files, setFiles] = useState<readonly File[] | null>(null);
  useEffect(() => {
    document.getElementById("inbox-heading")?.focus();
    void sharedPictures().then(setFiles);
  }, []);
  const ask = async () => {
    const taken = await takeShared();
    go({ view: "conversation", id: null });
    // After the view is shown.
    requestAnimationFrame(() => addFiles(taken));
  };
  const album = async () => {
    givenForAlbum.value = await takeShared();
    go({ view: "albums", id: null });
  };
  const discard = async () => {
    await discardShared();
    setFiles([]);
  };
  return (
    <section class="talk settings" aria-labelledby="inbox-heading">
      <h2 id="inbox-heading" tabIndex={-1}>
        {texts.heading}
      </h2>
      {isFull && <p role="alert">{texts.full}</p>}
      {files?.length === 0 && !isFull && <p id="inbox-empty">{texts.none}</p>}
      <ul class="shared" id="shared">
        {files?.map((file, index) => (
          <Shared key={String(index)} file={file} />
        ))}
      </ul>
      {files !== null && files.length > 0 && (
        <div class="choices">
          <button type="button" class="primary" id="inbox-ask" onClick={() => void ask()}>
            {texts.ask}
          </button>
          <button type="button" id="inbox-album" onClick={() => void album()}>
            {texts.album}
          </button>
          <button type="button" class="quiet" id="inbox-discard" onClick={() => void discard()}>
            {texts.discard}
          </button>
        </div>
      )}
    </section>
  );
}

function Shared({ file }: { file: File }) {
  const [url, setUrl] = useState("");
  useEffect(() => {
    const url = URL.createObjectURL(file);
    setUrl(url);
    return () => URL.revokeObjectURL(url);
  }, [file]);
  return (
    <li>
      {url && <img src={url} alt={file.name} />}
      <span dir="auto">{file.name}</span>
    </li>
  );
}
