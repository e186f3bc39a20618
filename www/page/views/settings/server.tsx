/** A server that answers in place of this device. */
import { useEffect, useRef, useState } from "preact/hooks";
import { enteredAddress } from "../../server/address.js";
import { modelsOf, testAnswer } from "../../server/model.js";
import { current } from "../../state/engine.js";
import { problemOf } from "../../state/problem.js";
import { isServed, keepServer, keptServer, type Server as Chosen } from "../../state/server.js";
import { chooseServer } from "../../state/session.js";
import { words } from "../../words/index.js";
import { settingWords } from "../../words/settings.js";
import { adviceOf } from "../problem.js";
import { SentTo } from "../sent-to.js";
import { Choice, describedBy, Field } from "./controls.js";

export function Server() {
  const texts = settingWords.server;
  const kept = useRef(keptServer()).current;
  const [address, setAddress] = useState(kept?.address ?? "");
  const [key, setKey] = useState(kept?.key ?? "");
  const [keepsKey, setKeepsKey] = useState(kept?.keepsKey ?? false);
  const [model, setModel] = useState(kept?.model ?? "");
  const [models, setModels] = useState<readonly string[]>([]);
  const [told, setTold] = useState("");
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);

  /** Resolves to the server if it answers. */
  const test = async (): Promise<Chosen | null> => {
    running.current?.abort();
    const { signal } = (running.current = new AbortController());
    setTold(texts.testing);
    try {
      const entered = { ...enteredAddress(address, key), model };
      const ids = (await modelsOf(entered, signal)).map(({ id }) => id);
      const server = { ...entered, model: ids.includes(model) ? model : (ids[0] ?? "") };
      await testAnswer(server, signal);
      setAddress(server.address);
      setKey(server.key);
      setModel(server.model);
      setModels(ids);
      setTold(texts.works);
      return server;
    } catch (thrown) {
      if (signal.aborted) return null;
      const problem = problemOf(thrown);
      const { title, next } = adviceOf(problem);
      setTold(`${title} ${next}${problem.message && ` (${problem.message})`}`);
      return null;
    }
  };
  const use = async () => {
    const server = await test();
    if (!server) return;
    keepServer(server, keepsKey);
    await chooseServer(server);
  };
  return (
    <form
      id="server"
      onSubmit={(event) => {
        event.preventDefault();
        void use();
      }}
    >
      <p>{isServed ? texts.served : texts.about}</p>
      <SentTo server={current.value?.server} />
      {!isServed && (
        <Field id="server-address" label={texts.address} help={texts.addressHelp}>
          <input
            type="text"
            id="server-address"
            inputMode="url"
            dir="ltr"
            autocomplete="off"
            spellcheck={false}
            value={address}
            {...describedBy("server-address", texts.addressHelp)}
            onInput={({ currentTarget }) => setAddress(currentTarget.value)}
          />
        </Field>
      )}
      <Field id="server-key" label={texts.key} help={texts.keyHelp}>
        <input
          type="password"
          id="server-key"
          dir="ltr"
          autocomplete="off"
          value={key}
          {...describedBy("server-key", texts.keyHelp)}
          onInput={({ currentTarget }) => setKey(currentTarget.value)}
        />
      </Field>
      <label class="switch">
        <input
          type="checkbox"
          id="server-keeps-key"
          checked={keepsKey}
          onChange={({ currentTarget }) => setKeepsKey(currentTarget.checked)}
        />
        {texts.keepsKey}
      </label>
      {models.length > 1 && (
        <Choice
          id="server-model"
          label={words.models.heading}
          value={model}
          options={models.map((id) => [id, id] as const)}
          onChange={(id) => setModel(id ?? "")}
        />
      )}
      <div class="choices">
        <button type="submit" class="primary" id="server-use">
          {texts.use}
        </button>
        <button type="button" id="server-test" onClick={() => void test()}>
          {texts.test}
        </button>
      </div>
      <p role="status" id="server-told">
        {told}
      </p>
    </form>
  );
}
