/** Questions to the model in the offscreen document. */

/**
 * Resolves to the last message of the answer. `onText` receives the text in pieces. After an abort, or when this document is closed, the answer ends.
 */
export async function ask(message, { onText, signal } = {}) {
  const { error } = await chrome.runtime.sendMessage("open");
  if (error) throw new Error(error);
  signal?.throwIfAborted();
  const port = chrome.runtime.connect();
  try {
    return await new Promise((resolve, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason));
      port.onDisconnect.addListener(() => reject(new Error("The model was closed.")));
      port.onMessage.addListener((answer) => {
        if (answer.error) reject(new Error(answer.error));
        else if (answer.isDone) resolve(answer);
        else onText?.(answer.text);
      });
      port.postMessage(message);
    });
  } finally {
    port.disconnect();
  }
}

/** The contents of a file as a `data:` address. Messages between documents of an extension carry no files. */
export function dataUrl(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
