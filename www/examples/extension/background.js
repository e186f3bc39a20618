/**
 * Opens the two other documents of the extension. A service worker cannot start workers, so the model is in an offscreen document, which is opened
 * when it is first needed. What is chosen in a menu is done by the side panel of the tab.
 */
let opening = null;

const MENUS = {
  describe: { title: "Describe this picture", contexts: ["image"] },
  alt: { title: "Write its alternative text", contexts: ["image"] },
  fill: { title: "Fill in missing alternative texts", contexts: ["page"] },
};

chrome.runtime.onInstalled.addListener(() => {
  for (const [id, menu] of Object.entries(MENUS)) chrome.contextMenus.create({ id, ...menu });
});
chrome.contextMenus.onClicked.addListener(({ menuItemId, srcUrl, frameId }, tab) => start({ kind: menuItemId, url: srcUrl, frameId }, tab));
chrome.commands.onCommand.addListener((command, tab) => start({ kind: command }, tab));
chrome.tabs.onRemoved.addListener((id) => chrome.storage.session.remove(`job-${id}`));

/** Leaves a job for the panel of `tab`. The panel opens only while the browser handles the click or key, so nothing is awaited before. */
function start(job, { id, windowId }) {
  chrome.sidePanel.setOptions({ tabId: id, path: `panel.html?tab=${id}`, enabled: true });
  chrome.sidePanel.open({ tabId: id }).catch(console.warn);
  chrome.storage.session.set({ [`job-${id}`]: { ...job, tabId: id, windowId } });
}

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
