/** The page. */
import { useEffect } from "preact/hooks";
import { useSignal, useSignalEffect } from "@preact/signals";
import { announcement } from "../state/announce.js";
import { current, device, loadWarning } from "../state/engine.js";
import { focusOn, focusRequest } from "../state/focus.js";
import { update, worksOffline } from "../state/offline.js";
import { route } from "../state/route.js";
import { addFiles } from "../state/session.js";
import { undoable } from "../state/undo.js";
import { words } from "../words/index.js";
import { AlbumStrip } from "./album-strip.js";
import { Albums } from "./albums.js";
import { Conversation } from "./conversation.js";
import { deviceWords } from "../state/device.js";
import { focusWhenThere, isWide } from "./dom.js";
import { Dialogs } from "./dialogs.js";
import { useKeys } from "./keys.js";
import { Loading } from "./loading.js";
import { Downloads, Interrupted, Linked, Models } from "./models.js";
import { PageProblem, StoreNote } from "./problem.js";
import { Rail, RailDialog } from "./rail.js";
import { Inbox, Settings } from "./settings.js";

export function App() {
  const isRailOpen = useSignal(false);
  useFiles();
  useSignalEffect(() => {
    const request = focusRequest.value;
    // After the element is shown.
    if (request) focusWhenThere(request.id);
  });
  useKeys();
  return (
    <>
      <button type="button" class="skip" onClick={() => focusOn("question")}>
        {words.skip}
      </button>
      <div class={isWide.value ? "frame wide" : "frame"}>
        {isWide.value && <Rail />}
        <div class="view">
          <header>
            {!isWide.value && (
              <button type="button" class="menu-button" aria-label={words.conversations.open} onClick={() => (isRailOpen.value = true)}>
                ☰
              </button>
            )}
            <img src="icon.svg" alt="" width="44" height="44" />
            <div>
              <h1>{words.name}</h1>
              <p>{current.value?.server ? words.server.sentTo(current.value.server.address) : words.about}</p>
            </div>
          </header>
          <main>
            <Loading />
            <Downloads />
            <PageProblem />
            <StoreNote />
            <Interrupted />
            <AlbumStrip />
            <View />
          </main>
          <Footer />
        </div>
      </div>
      {isRailOpen.value && !isWide.value && <RailDialog onClose={() => (isRailOpen.value = false)} />}
      <Linked />
      <Dialogs />
      <Undo />
      <div class="visually-hidden" id="announcer" role="status">
        {announcement.value}
      </div>
    </>
  );
}

function View() {
  switch (route.value.view) {
    case "albums":
      return <Albums />;
    case "settings":
      return <Settings key={route.value.section} section={route.value.section} />;
    case "inbox":
      return <Inbox isFull={route.value.isFull} />;
    default:
      return (
        <>
          <Models />
          <Conversation />
        </>
      );
  }
}

/** Files that are dropped or pasted anywhere. */
function useFiles(): void {
  useEffect(() => {
    const zone = () => document.getElementById("drop");
    const take = (files: FileList | undefined) => files?.length && addFiles(Array.from(files));
    const listeners = {
      paste: (event: ClipboardEvent) => take(event.clipboardData?.files),
      dragover: (event: DragEvent) => {
        event.preventDefault();
        zone()?.classList.add("over");
      },
      dragleave: (event: DragEvent) => !event.relatedTarget && zone()?.classList.remove("over"),
      drop: (event: DragEvent) => {
        event.preventDefault();
        zone()?.classList.remove("over");
        take(event.dataTransfer?.files);
      },
    };
    for (const [kind, listener] of Object.entries(listeners)) document.addEventListener(kind, listener as EventListener);
    return () => {
      for (const [kind, listener] of Object.entries(listeners)) document.removeEventListener(kind, listener as EventListener);
    };
  }, []);
}

/** The last deletion, which can be undone. */
function Undo() {
  const offer = undoable.value;
  return (
    <div class="undo" role="status" hidden={!offer}>
      {offer && (
        <>
          <span>{offer.words}</span>
          <button type="button" class="quiet" onClick={offer.undo}>
            {words.undo}
          </button>
        </>
      )}
    </div>
  );
}

function Footer() {
  const report = device.value;
  const takeOver = update.value;
  return (
    <footer>
      <p id="offline" hidden={!worksOffline.value || current.value?.server !== undefined}>
        {words.footer.offline}
      </p>
      <p id="update" hidden={!takeOver}>
        {words.footer.update}{" "}
        <button type="button" class="quiet" id="update-now" onClick={() => takeOver?.()}>
          {words.footer.reload}
        </button>
      </p>
      <p id="device">
        {loadWarning.value} {report && words.device.running(deviceWords(report))}
      </p>
    </footer>
  );
}
