/** The user's own model: from addresses, or from files. */
import { nameOf } from "../state/model-choice.js";
import { modelFiles } from "../state/model-files.js";
import { addModelFiles, choose } from "../state/session.js";
import { words } from "../words/index.js";
import { modelWords } from "../words/models.js";

export function OwnModel() {
  return (
    <div class="own">
      <h3>{modelWords.ownHeading}</h3>
      <p class="fine">
        {modelWords.ownAbout1}
        <code>mmproj</code>
        {modelWords.ownAbout2}
      </p>
      <form
        id="own-address"
        onSubmit={(event) => {
          event.preventDefault();
          const data = new FormData(event.currentTarget);
          chooseAddress(String(data.get("model")), String(data.get("mmproj")));
        }}
      >
        <label for="own-model">{modelWords.address}</label>
        <input type="url" id="own-model" name="model" required placeholder="https://…/model.gguf" autocomplete="off" spellcheck={false} />
        <label for="own-mmproj">{modelWords.mmprojAddress}</label>
        <input type="url" id="own-mmproj" name="mmproj" placeholder="https://…/mmproj.gguf" autocomplete="off" spellcheck={false} />
        <button type="submit" class="button">
          {modelWords.load}
        </button>
      </form>
      <Files />
    </div>
  );
}

function chooseAddress(model: string, mmproj: string): void {
  const isFile = /\.gguf($|[?#])/i.test(model);
  const source = isFile ? (mmproj ? { gguf: model, mmproj } : { gguf: model }) : { safetensors: model };
  void choose({ name: nameOf(source), source });
}

function Files() {
  const { text, mmproj } = modelFiles.value;
  return (
    <div class="own-files">
      <p>{modelWords.files}</p>
      <input
        type="file"
        id="model-files"
        class="visually-hidden"
        accept=".gguf"
        multiple
        onChange={({ currentTarget }) => {
          void addModelFiles(Array.from(currentTarget.files ?? []));
          currentTarget.value = "";
        }}
      />
      <label class="button" for="model-files">
        {modelWords.chooseFiles}
      </label>
      <dl id="given-files" hidden={!text && !mmproj}>
        <Given what={modelWords.fileModel} file={text} absent={modelWords.noModel} part="text" />
        <Given what={modelWords.fileVision} file={mmproj} absent={modelWords.noVision} part="mmproj" />
      </dl>
      <button
        type="button"
        class="primary"
        id="load-files"
        hidden={!text}
        onClick={() => text && void choose({ name: text.name, source: mmproj ? { gguf: text, mmproj } : { gguf: text } })}
      >
        {modelWords.loadFiles}
      </button>
    </div>
  );
}

function Given({ what, file, absent, part }: { what: string; file: File | null; absent: string; part: "text" | "mmproj" }) {
  return (
    <>
      <dt>{what}</dt>
      <dd>
        {file ? modelWords.file(file.name, file.size) : absent}
        {file && (
          <button
            type="button"
            class="quiet"
            aria-label={words.question.remove(file.name)}
            onClick={() => {
              modelFiles.value = { ...modelFiles.value, [part]: null };
            }}
          >
            ✕
          </button>
        )}
      </dd>
    </>
  );
}
