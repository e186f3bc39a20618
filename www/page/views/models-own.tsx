/** The user's own model: from addresses, or from files. */
import { nameOf } from "../state/model-choice.js";
import { modelFiles } from "../state/model-files.js";
import { addModelFiles, choose } from "../state/session.js";
import { words } from "../words/index.js";

export function OwnModel() {
  const { models } = words;
  return (
    <div class="own">
      <h3>{models.ownHeading}</h3>
      <p class="fine">
        {models.ownAbout1}
        <code>mmproj</code>
        {models.ownAbout2}
      </p>
      <form
        id="own-address"
        onSubmit={(event) => {
          event.preventDefault();
          const data = new FormData(event.currentTarget);
          chooseAddress(String(data.get("model")), String(data.get("mmproj")));
        }}
      >
        <label for="own-model">{models.address}</label>
        <input type="url" id="own-model" name="model" required placeholder="https://…/model.gguf" autocomplete="off" spellcheck={false} />
        <label for="own-mmproj">{models.mmprojAddress}</label>
        <input type="url" id="own-mmproj" name="mmproj" placeholder="https://…/mmproj.gguf" autocomplete="off" spellcheck={false} />
        <button type="submit" class="button">
          {models.load}
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
  const { models } = words;
  const { text, mmproj } = modelFiles.value;
  return (
    <div class="own-files">
      <p>{models.files}</p>
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
        {models.chooseFiles}
      </label>
      <dl id="given-files" hidden={!text && !mmproj}>
        <Given what={models.fileModel} file={text} absent={models.noModel} part="text" />
        <Given what={models.fileVision} file={mmproj} absent={models.noVision} part="mmproj" />
      </dl>
      <button
        type="button"
        class="primary"
        id="load-files"
        hidden={!text}
        onClick={() => text && void choose({ name: text.name, source: mmproj ? { gguf: text, mmproj } : { gguf: text } })}
      >
        {models.loadFiles}
      </button>
    </div>
  );
}

function Given({ what, file, absent, part }: { what: string; file: File | null; absent: string; part: "text" | "mmproj" }) {
  return (
    <>
      <dt>{what}</dt>
      <dd>
        {file ? words.models.file(file.name, file.size) : absent}
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
