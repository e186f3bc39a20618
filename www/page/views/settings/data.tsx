/** Stored data: sizes by kind, saving to a file, reading one back, and deletion. */
import { useEffect, useState } from "preact/hooks";
import { saveConversations, takeConversations } from "../../state/conversation-files.js";
import { reload } from "../../state/engine.js";
import { focusOn } from "../../state/focus.js";
import { showProblem } from "../../state/problem.js";
import { keepsComputed, keepsConversations } from "../../state/settings.js";
import { givenConversations } from "../../state/tray.js";
import { deleteEverything, storedSizes, type StoredSizes } from "../../state/stored.js";
import { settingWords } from "../../words/settings.js";
import { FileButton, Switch } from "./controls.js";

export function Data() {
  const texts = settingWords.data;
  const [told, setTold] = useState("");
  const save = async (isMarkdown: boolean) => {
    setTold(texts.exported(await saveConversations(isMarkdown)));
  };
  const take = async (file: File) => {
    const taken = await takeConversations(file);
    if (taken.kind === "taken") setTold(texts.imported(taken.added, taken.known, taken.faulty, taken.first));
    else setTold(taken.kind === "newer" ? texts.newer : texts.notReadable);
  };
  const given = givenConversations.value;
  useEffect(() => {
    if (!given) return;
    // Another file may have been given since.
    if (givenConversations.value === given) givenConversations.value = null;
    void take(given).catch(showProblem);
  });
  return (
    <>
      <Switch id="keeps-conversations" label={texts.keeps} help={texts.keepsHelp} setting={keepsConversations} />
      <Switch
        id="keeps-computed"
        label={texts.cache}
        help={`${texts.cacheHelp} ${settingWords.answers.reloads}`}
        setting={keepsComputed}
        onChange={() => void reload()}
      />
      <Sizes />
      <div class="choices">
        <button type="button" id="save-conversations" onClick={() => void save(false).catch(showProblem)}>
          {texts.export}
        </button>
        <button type="button" id="save-markdown" onClick={() => void save(true).catch(showProblem)}>
          {texts.markdown}
        </button>
        <FileButton
          id="load-conversations"
          label={texts.import}
          accept=".json,application/json,.zip,application/zip"
          onFile={(file) => void take(file).catch(showProblem)}
        />
      </div>
      <p role="status" id="data-told">
        {told}
      </p>
      <DeleteAll />
    </>
  );
}

function Sizes() {
  const texts = settingWords.data;
  const [sizes, setSizes] = useState<StoredSizes | null>(null);
  useEffect(() => void storedSizes().then(setSizes, showProblem), []);
  return (
    <>
      <h3>{texts.stored}</h3>
      {sizes === null ? (
        <p class="fine">{texts.counting}</p>
      ) : (
        <dl class="sizes" id="stored-sizes">
          {(["models", "conversations", "albums", "all"] as const).map((kind) => {
            const bytes = sizes[kind];
            return (
              bytes !== null && (
                <div key={kind} data-kind={kind}>
                  <dt>{texts[kind]}</dt>
                  <dd>{texts.sized(bytes)}</dd>
                </div>
              )
            );
          })}
        </dl>
      )}
    </>
  );
}

function DeleteAll() {
  const texts = settingWords.data;
  const [isAsking, setAsking] = useState(false);
  if (!isAsking) {
    return (
      <button
        type="button"
        class="danger"
        id="delete-all"
        onClick={() => {
          setAsking(true);
          focusOn("delete-keep");
        }}
      >
        {texts.deleteAll}
      </button>
    );
  }
  return (
    <div class="notice">
      <p>{texts.deleteQuestion}</p>
      <button type="button" class="danger" id="delete-now" onClick={() => void deleteEverything().catch(showProblem)}>
        {texts.deleteNow}
      </button>
      <button
        type="button"
        id="delete-keep"
        onClick={() => {
          setAsking(false);
          focusOn("delete-all");
        }}
      >
        {texts.keep}
      </button>
    </div>
  );
}
