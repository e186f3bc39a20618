/** English: words of settings, of the list of keys, and of pictures that another program has shared. */
import { count, number, sizeText } from "../format.js";

const conversations = (value: number) => count(value, "conversation", "conversations");

export const settings = {
  heading: "Settings",
  /** The heading of a section. */
  title: (section: string) => `Settings: ${section}`,
  sections: {
    general: "General",
    answers: "Answers",
    server: "Server",
    pictures: "Pictures",
    tasks: "Tasks",
    data: "Data",
    privacy: "Privacy",
    about: "About",
  },

  general: {
    language: "Language",
    ofBrowser: "As the browser",
    languageFailed: "This language could not be loaded. Check the network connection.",
    theme: "Colours",
    themes: { system: "As the system", light: "Light", dark: "Dark" },
    atOnce: "Describe new pictures at once",
    singleKeys: "Single keys as shortcuts",
    singleKeysHelp: "Switch them off if they get in the way of speech input or of a screen reader.",
    keys: "Show all keys",
    announces: "What screen readers are told of an answer",
    announceKinds: { sentences: "Each sentence", whole: "The whole, when it is complete", off: "Nothing" },
    screenOn: "Keep the screen on while an album is written",
  },

  answers: {
    about: "A field that is empty is the model's own: the value that its publisher recommends.",
    instruction: "Instruction for all conversations",
    instructionHelp: "For example “Answer briefly, in French.” The demo model does not understand it.",
    own: "The model's own",
    temperature: "Temperature, 0 to 2",
    top_p: "Top-p, 0 to 1",
    top_k: "Top-k",
    min_p: "Min-p, 0 to 1",
    frequency_penalty: "Frequency penalty, −2 to 2",
    presence_penalty: "Presence penalty, −2 to 2",
    seed: "Seed",
    seedHelp: "With the same seed the same question gets the same answer.",
    longest: "Longest answer",
    longestOf: (tokens: number) => `${number(tokens)} tokens, about ${number(Math.round(tokens * 0.75))} words`,
    longestOwn: "1,024 tokens; 256 with the demo model",
    thinking: "Thinking before the answer",
    thinkings: { off: "Off", short: "Short", medium: "Medium", long: "Long" },
    thinkingNone: "The present model does not think before it answers.",
    context: "Length of conversations",
    contextOf: (tokens: number) => `${number(tokens)} tokens`,
    reloads: "The model is loaded again when this changes.",
    reset: "Reset all",
    wasReset: "All answers have the model's own settings again.",
  },

  server: {
    about:
      "A server can answer in place of this device: “ocelli serve” on another machine, or any other with OpenAI's API. Your pictures, your questions and the conversation are then sent to it.",
    served: "This page comes from a server, which also answers. Nothing is sent elsewhere.",
    address: "Address",
    addressHelp: "For example http://localhost:8080",
    key: "Key",
    keyHelp: "It is forgotten when you close this tab, unless you choose to keep it.",
    keepsKey: "Keep the key in this browser",
    test: "Test the connection",
    testing: "Testing …",
    works: "The server answers.",
    use: "Use this server",
    faults: {
      address: {
        title: "This is not the address of a server.",
        next: "It looks like http://localhost:8080 or https://models.example.org.",
      },
      key: { title: "This key has characters that no key has.", next: "Copy it again, without spaces." },
      mixed: {
        title: "A page that was opened over https may not ask a server over http.",
        next: "Use an address with https, or open the page of the server itself.",
      },
      unreachable: {
        title: "No answer comes from this server.",
        next: "Check that it runs, that this device reaches it, and that it allows pages of this site (CORS; with Ocelli: --origin).",
      },
      refused: { title: "The server refuses the key.", next: "Enter another one in the settings, under “Server”." },
      notFound: { title: "The server does not have this address or model.", next: "Check the address, and test the connection." },
      busy: { title: "The server is busy, or a limit is reached.", next: "Wait a moment and try again." },
      stream: {
        title: "The server does not send answers as a stream.",
        next: "This page needs server-sent events; a proxy may hold them back.",
      },
      cut: { title: "The server ended the answer early.", next: "Try again." },
      other: { title: "The server reports a fault.", next: "Try again, or check the model and the settings of answers." },
    },
  },

  pictures: {
    look: "Look",
    seconds: "Most seconds until the first word, with “Automatic”",
    secondsOf: (seconds: number) => `${number(seconds)} s`,
  },

  tasks: {
    about: "Tasks are the buttons above the question.",
    own: "Your own tasks",
    none: "You have made no task of your own yet.",
    builtIn: "Tasks of this page",
    edit: "Edit",
    duplicate: "Duplicate",
    up: "Move up",
    down: "Move down",
    of: (act: string, name: string) => `${act}: ${name}`,
    copyOf: (name: string) => `${name} (copy)`,
    create: "New task",
    save: "Save all as a file",
    load: "Add from a file",
    loaded: (tasks: number) => `${count(tasks, "task", "tasks")} added.`,
    unreadable: (place: string) => `This is no file of tasks: ${place}.`,
    deleted: (name: string) => `“${name}” is deleted.`,
  },

  data: {
    keeps: "Keep conversations on this device",
    keepsHelp: "Without it, every new conversation is temporary.",
    cache: "Continue conversations without computing them anew",
    cacheHelp: "What the model has computed is kept in files of this browser, at most 1 GB.",
    stored: "Stored on this device",
    models: "Models",
    conversations: "Conversations and their pictures",
    albums: "Albums and copies of their pictures",
    all: "In all, as the browser counts it",
    counting: "Counting …",
    sized: (bytes: number) => (bytes === 0 ? "nothing" : sizeText(bytes)),
    export: "Save all conversations as a file",
    markdown: "Save as Markdown",
    import: "Add conversations from a file",
    exported: (saved: number) => `${conversations(saved)} saved.`,
    imported: (added: number, known: number, faulty: number, first: string) => {
      const more = [known > 0 && `${number(known)} were here already`, faulty > 0 && `${number(faulty)} could not be read: ${first}`];
      return `${[`${conversations(added)} added`, ...more].filter(Boolean).join(", ")}.`;
    },
    notReadable: "This is no file of conversations.",
    newer: "This file was made by a newer version of the page.",
    deleteAll: "Delete everything",
    deleteQuestion: "Delete all conversations, albums, settings and stored models of this page? This cannot be undone.",
    deleteNow: "Delete everything now",
    keep: "Keep it",
  },

  privacy: {
    promises: [
      "Unless a server answers, pictures, questions and answers never leave this device. There is no account, no statistics, and nothing of another site in this page.",
      "The part of the page that shows what models write can reach nothing but this site. Only the parts that fetch models and ask your server can reach other sites, and they show nothing.",
      "Conversations and albums are kept in this browser alone, until you delete them.",
    ] as readonly string[],
    requests: "Requests to other sites since this page was opened",
    none: "None.",
    request: (time: string, address: string) => `${time}: ${address}`,
    notSeen: "They can be listed only once the page works offline, from its second visit on.",
  },

  about: {
    version: (version: string) => `Ocelli ${version}`,
    what: "Vision-language models in the browser, on your own device.",
    licences: "Licences of the page's libraries",
    engineLicences: "Licences of the engine's libraries",
    report: "Copy a report about this device",
    copied: "The report is copied.",
    notCopied: "The browser does not allow copying.",
  },

  keys: {
    heading: "Keys",
    off: "Single keys are switched off in the settings.",
    groups: [
      {
        heading: "Anywhere",
        keys: [
          ["/", "write a question"],
          ["n", "new conversation"],
          ["u", "add pictures"],
          ["c", "conversations"],
          ["a", "albums"],
          ["m", "models"],
          ["s", "settings"],
          ["?", "these keys"],
          ["Esc", "close the dialog, or stop the answer"],
        ],
      },
      {
        heading: "In the question",
        keys: [
          ["Enter", "send"],
          ["Shift+Enter", "new line"],
          ["↑", "if it is empty: edit the last question"],
        ],
      },
      {
        heading: "In a question or an answer",
        keys: [
          ["[ ]", "earlier and later version"],
          ["r", "answer again"],
          ["e", "edit"],
          ["y", "copy"],
        ],
      },
      {
        heading: "In an album",
        keys: [
          ["j k", "next and previous picture"],
          ["Enter", "edit the text"],
          ["Ctrl+Enter", "reviewed, and on to the next"],
          ["x", "decorative"],
          ["r", "write again"],
          ["Space", "select"],
        ],
      },
      {
        heading: "In the frame around a part of a picture",
        keys: [
          ["← ↑ → ↓", "move it by 1 %, with Shift by 10 %"],
          ["Alt+← ↑ → ↓", "change its size"],
          ["Enter", "take it"],
        ],
      },
    ] as readonly KeyGroup[],
  },

  inbox: {
    heading: "Shared pictures",
    none: "There are no shared pictures.",
    full: "There was no room for the shared pictures. Delete something under Settings, Data, and share them again.",
    ask: "Ask about them",
    album: "Make an album of them",
    discard: "Discard them",
  },
};

/** Keys of one place, and what each does. */
export interface KeyGroup {
  heading: string;
  keys: readonly (readonly [keys: string, does: string])[];
}
