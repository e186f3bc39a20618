/** A service worker cannot start workers: the model lives in an offscreen document, which is opened when it is first needed. */
let opening = null;

chrome.runtime.onMessage.addListener((message, _sender, reply) => {
  if (message !== "open") return false;
  opening ??= open().finally(() => {
    opening = null;
  });
  opening.then(
    () => reply({}),
    (error) => reply({ error: String(error) }),
  );
  return true;
});

async function open() {
  const [document] = await chrome.runtime.getContexts({ contextTypes: ["OFFSCREEN_DOCUMENT"] });
  if (document) return;
  await chrome.offscreen.createDocument({ url: "offscreen.html", reasons: ["WORKERS"], justification: "The model runs in a worker." });
}
