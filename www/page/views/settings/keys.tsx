/** The list of keys. */
import { singleKeys } from "../../state/settings.js";
import { settingWords } from "../../words/settings.js";
import { Modal } from "../modal.js";

export function KeysDialog() {
  const { heading, off, groups } = settingWords.keys;
  return (
    <Modal id="keys-dialog" heading={heading}>
      {!singleKeys.value && <p>{off}</p>}
      {groups.map((group) => (
        <section key={group.heading}>
          <h3>{group.heading}</h3>
          <dl class="keys">
            {group.keys.map(([keys, does]) => (
              <div key={keys}>
                <dt>
                  <kbd>{keys}</kbd>
                </dt>
                <dd>{does}</dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
    </Modal>
  );
}
