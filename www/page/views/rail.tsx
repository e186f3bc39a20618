/** The list of conversations: beside the conversation, or in a dialog where there is no room. */
import { useSignalEffect } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { search, type Found } from "../store/conversations.js";
import type { Conversation } from "../store/schema.js";
import { deleteConversation, isListed, listed, nameConversation, open, pinConversation } from "../state/conversation.js";
import { focusOn } from "../state/focus.js";
import { rows } from "../state/kept.js";
import { addressOf, route } from "../state/route.js";
import { newConversation } from "../state/session.js";
import { words } from "../words/index.js";
import { useModal } from "./dom.js";
import { shortcut } from "./keys.js";

/** Conversations that are shown at first, and added by "Show more". */
const PAGE = 100;

export function Rail() {
  return (
    <nav class="rail" id="rail" aria-label={words.conversations.label}>
      <List />
    </nav>
  );
}

export function RailDialog({ onClose }: { onClose: () => void }) {
  const dialog = useModal();
  // A choice changes the address.
  const first = useRef(route.value);
  useSignalEffect(() => {
    if (route.value !== first.current) onClose();
  });
  return (
    <dialog class="rail" id="rail-dialog" ref={dialog} aria-label={words.conversations.label} onClose={onClose}>
      <button type="button" class="quiet close" onClick={onClose}>
        {words.close}
      </button>
      <List />
    </dialog>
  );
}

function List() {
  const [shown, setShown] = useState(PAGE);
  const [wanted, setWanted] = useState("");
  const found = useSearch(wanted);
  const all = listed.value;
  const list = found === null ? all : found.flatMap(({ id }) => all.filter((each) => each.id === id));
  const around = new Map(found?.map((each) => [each.id, each.around]));
  return (
    <>
      <ul class="conversations places">
        <li>
          <a
            href={addressOf({ view: "albums", id: null })}
            aria-current={route.value.view === "albums" ? "page" : undefined}
            {...shortcut("a")}
          >
            {words.albums.link}
          </a>
        </li>
        <li>
          <a
            href={addressOf({ view: "settings", section: "general" })}
            aria-current={route.value.view === "settings" ? "page" : undefined}
            {...shortcut("s")}
          >
            {words.settings.link}
          </a>
        </li>
      </ul>
      <input
        type="search"
        id="search"
        aria-label={words.conversations.search}
        placeholder={words.conversations.search}
        value={wanted}
        onInput={(event) => setWanted(event.currentTarget.value)}
      />
      {found !== null && <p class="fine">{words.conversations.found(found.length)}</p>}
      {all.length === 0 && isListed.value && <p class="fine">{words.conversations.none}</p>}
      {groupsOf(list.slice(0, shown), found !== null).map(([heading, group]) => (
        <section key={heading}>
          {heading && <h3>{heading}</h3>}
          <ul class="conversations">
            {group.map((conversation) => (
              <Item key={conversation.id} conversation={conversation} around={around.get(conversation.id) ?? ""} />
            ))}
          </ul>
        </section>
      ))}
      {list.length > shown && (
        <button type="button" class="quiet" onClick={() => setShown(shown + PAGE)}>
          {words.conversations.more}
        </button>
      )}
    </>
  );
}

/** Conversations by day, in their order. */
function groupsOf(list: readonly Conversation[], isSearch: boolean): [string, Conversation[]][] {
  const midnight = new Date().setHours(0, 0, 0, 0);
  const day = 86_400_000;
  const groups = new Map<string, Conversation[]>();
  for (const conversation of list) {
    const { isPinned, updatedAt } = conversation;
    const { pinned, today, yesterday, earlier } = words.conversations;
    const group = isSearch ? "" : isPinned ? pinned : updatedAt >= midnight ? today : updatedAt >= midnight - day ? yesterday : earlier;
    groups.set(group, [...(groups.get(group) ?? []), conversation]);
  }
  return [...groups];
}

/** The conversations with `wanted`; `null` without anything to search. */
function useSearch(wanted: string): readonly Found[] | null {
  const [found, setFound] = useState<readonly Found[] | null>(null);
  useEffect(() => {
    if (!wanted.trim()) return setFound(null);
    const abort = new AbortController();
    void rows().then((store) => search(store, listed.value, wanted, setFound, abort.signal));
    return () => abort.abort();
  }, [wanted]);
  return found;
}

function Item({ conversation, around }: { conversation: Conversation; around: string }) {
  const { id, isPinned } = conversation;
  const title = conversation.title || words.conversations.untitled;
  const [isNaming, setNaming] = useState(false);
  const isOpen = open.value.id === id && route.value.view === "conversation";
  if (isNaming) return <Name conversation={conversation} onDone={() => setNaming(false)} />;
  return (
    <li>
      <a href={addressOf({ view: "conversation", id })} aria-current={isOpen ? "page" : undefined} dir="auto">
        {title}
        {around && <span class="fine">{around}</span>}
      </a>
      <details class="menu" name="conversation-menu">
        <summary aria-label={words.conversations.menu(title)}>⋯</summary>
        <div>
          <button type="button" onClick={() => setNaming(true)}>
            {words.conversations.rename}
          </button>
          <button type="button" onClick={(event) => closing(event, () => pinConversation(id, !isPinned))}>
            {isPinned ? words.conversations.unpin : words.conversations.pin}
          </button>
          <button type="button" onClick={() => remove(id, title, isOpen)}>
            {words.delete}
          </button>
        </div>
      </details>
    </li>
  );
}

function closing(event: MouseEvent, act: () => void): void {
  (event.currentTarget as HTMLElement).closest("details")?.removeAttribute("open");
  act();
}

function remove(id: string, title: string, isOpen: boolean): void {
  if (isOpen) newConversation();
  deleteConversation(id, words.conversations.deleted(title));
  focusOn("search");
}

function Name({ conversation: { id, title }, onDone }: { conversation: Conversation; onDone: () => void }) {
  const [name, setName] = useState(title);
  return (
    <li>
      <form
        class="name"
        onSubmit={(event) => {
          event.preventDefault();
          nameConversation(id, name);
          onDone();
        }}
        onKeyDown={(event) => event.key === "Escape" && onDone()}
      >
        <input
          ref={(input) => input?.focus()}
          aria-label={words.conversations.newName}
          value={name}
          onInput={(event) => setName(event.currentTarget.value)}
        />
        <button type="submit" class="quiet">
          {words.conversations.save}
        </button>
      </form>
    </li>
  );
}
