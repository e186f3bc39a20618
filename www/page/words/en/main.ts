/** English: the words of the first view. Every other language has the same entries. */
import { altInstruction } from "../../../src/img-alt/instruction.js";
import { count, duration, number, percent, rough, sizeText } from "../format.js";

/** A token is about this many words. */
const WORDS_OF_TOKEN = 0.75;

/** Tasks and their instructions. */
const all = {
  describe: {
    name: "Describe",
    instruction:
      "Describe this picture in two to four sentences: what it shows, where, what is unusual. Then any words in it, as they stand.",
  },
  alt: {
    name: "Alt text",
    instruction: altInstruction({ language: "English" }),
  },
  caption: {
    name: "Caption",
    instruction: "Write a caption for this picture: one sentence, at most 15 words.",
  },
  read: {
    name: "Read the text",
    instruction:
      "Write down all text in this picture, line by line, exactly as it stands, in the order of reading. Write nothing else. If there is none, write: (no text)",
  },
  fields: {
    name: "Fill in fields …",
    instruction: "Fill in the fields from the picture. Where it does not say, use null.",
  },
  rules: {
    name: "Check rules …",
    instruction: "Judge the picture by these rules and no others. Rules:",
  },
  find: {
    name: "Find …",
    instruction: "",
  },
};

export const en = {
  title: "Ocelli: ask about your pictures, on your own device",
  name: "Ocelli",
  about: "Ask about your pictures. Everything happens on this device.",
  skip: "Skip to the question",
  close: "Close",
  more: "More",
  delete: "Delete",
  undo: "Undo",

  loading: {
    starting: "Starting …",
    cancel: "Cancel",
    manifest: "Looking for the model …",
    preparing: "Getting ready for this device …",
    ready: "The model is ready.",
    import: "Reading and converting the model",
    stored: "Reading the stored model",
    downloading: "Downloading the model",
    bytes: (stage: string, loaded: number, total: number, rate: number | null) =>
      `${stage}: ${sizeText(loaded)} of ${sizeText(total)}${rate ? `, ${sizeText(rate)} a second, ${duration((total - loaded) / rate)} left` : ""}`,
    kernels: (loaded: number, total: number) => ` · Getting ready for this device: ${percent(loaded / (total || 1))}`,
    quarter: (part: number) => `Model ${part} percent loaded`,
    repaired: (file: string) => `A stored part of the model was damaged and has been fetched again: ${file}.`,
    cancelled: "Cancelled. The part that was imported is kept, and the import can be resumed.",
  },

  device: {
    emulated: (name: string) => `a GPU that the processor emulates${name ? ` (${name})` : ""}`,
    unnamed: "your GPU",
    processor: (threads: number | undefined) =>
      `this computer's processor${threads === undefined ? "" : threads === 1 ? ", on one thread" : `, on ${threads} threads`}`,
    because: (device: string, reason: string) => `${device}, because ${reason}`,
    running: (device: string) => `Running on ${device}.`,
  },

  conversations: {
    label: "Conversations",
    open: "Conversations",
    begin: "New conversation",
    begun: "New conversation.",
    temporary: "Temporary",
    temporaryHelp: "This conversation is not kept.",
    untitled: "New conversation",
    pinned: "Pinned",
    today: "Today",
    yesterday: "Yesterday",
    earlier: "Earlier",
    none: "Conversations are kept here, on this device.",
    search: "Search conversations",
    found: (found: number) => (found === 0 ? "Nothing was found." : `${count(found, "conversation", "conversations")} found.`),
    more: "Show more",
    menu: (title: string) => `More: ${title}`,
    rename: "Rename",
    newName: "New name",
    save: "Save",
    pin: "Pin",
    unpin: "Unpin",
    deleted: (title: string) => `“${title}” is deleted.`,
    removed: "The message is deleted.",
    gone: "This conversation is not here any more.",
  },

  empty: {
    heading: "What is in your picture?",
    answers: "Drop a picture, paste one, or choose one below. Then ask.",
    demo: "The demo model knows simple drawings only. For photographs, get a larger model.",
    seeModels: "See models",
    examples: "Try an example",
    scene: "Example scene",
  },

  question: {
    label: "Your question",
    send: "Send",
    stop: "Stop",
    drop: "Drop or paste pictures, or",
    choose: "Choose pictures",
    atOnce: "Describe them at once",
    look: "Look",
    looks: { low: "Quick look", auto: "Automatic", high: "Every detail" },
    seconds: (look: string, seconds: number) => `${look} (about ${duration(seconds)})`,
    heic: "This browser cannot read HEIC pictures. Save it as JPEG, or share it from the photo app as JPEG.",
    camera: "Camera",
    screenshot: "Screenshot",
    screenshotName: "screenshot",
    openPicture: (name: string) => `Open ${name}`,
    pictures: "Pictures of the next question",
    remove: (name: string) => `Remove ${name}`,
    suggestions: "Suggested questions",
    editing: "You are changing an earlier question.",
    cancelEdit: "Keep it as it was",
    enter: " sends, ",
    shiftEnter: " starts a new line, ",
    escape: " stops.",
  },

  tasks: {
    all,
    label: "Tasks",
    own: "New task …",
    changeFields: "Change the fields",
    chosen: (name: string) => `${name.replace(" …", "")}: will be done with the next picture.`,
    cancel: "Cancel",
  },

  answer: {
    you: "You",
    name: "Ocelli",
    topic: "New pictures: answered without what is above",
    begins: "Answering",
    complete: "Answer complete",
    stopped: "Stopped.",
    thinking: "Thinking …",
    waiting: "Waiting for the model …",
    picture: (picture: number, of: number, width: number, height: number) =>
      of > 1 ? `Looking at picture ${picture} of ${of} at ${width} × ${height} …` : `Looking at the picture at ${width} × ${height} …`,
    reading: "Reading the question …",
    recovering: "The graphics device was reset; the answer continues in a moment …",
    thoughts: "Thoughts",
    cut: "The answer reached the longest length that is set.",
    interrupted: "Interrupted when the page was closed.",
    failed: "There is no answer to this question.",
    retry: "Try again",
    truncated: (turns: number) =>
      `${turns === 1 ? "The oldest question was" : `The oldest ${turns} questions were`} left out: the conversation is longer than the model can hold.`,
    pictureGone: (name: string) => `${name} is not here any more.`,
    copy: "Copy",
    copied: "Copied",
    copyAnswer: "Copy the answer",
    again: "Answer again",
    continue: "Continue",
    edit: "Edit",
    delete: "Delete",
    version: (at: number, of: number) => `${at} of ${of}`,
    earlier: "Earlier version",
    later: "Later version",
    fromHere: (model: string) => `From here on: ${model}`,
    details: "Details",
    model: (name: string) => `Model: ${name}`,
    prompt: (tokens: number, cached: number) =>
      `Question: ${count(tokens, "token", "tokens")}${cached > 0 ? `, ${number(cached)} of them known from before` : ""}`,
    length: (tokens: number) => `Answer: ${count(tokens, "token", "tokens")}`,
    speed: (firstMs: number, perSecond: number) =>
      `First word after ${rough(firstMs / 1000)} s, then ${rough(perSecond * WORDS_OF_TOKEN)} words (${rough(perSecond)} tokens) a second`,
    shown: (width: number, height: number, tokens: number) => `Picture: ${width} × ${height}, ${count(tokens, "token", "tokens")}`,
    seed: (seed: number) => `Seed: ${seed}`,
  },

  models: {
    demo: "demo model",
    own: "your model",
    heading: "Model: ",
    change: "Change",
    resume: "Continue",
    pause: "Pause",
    loading: "Opening models …",
  },

  settings: {
    link: "Settings",
    loading: "Opening settings …",
    keys: "Keys",
  },

  server: {
    sentTo: (address: string) => `Pictures and questions are sent to ${address}`,
    leave: "Answer on this device",
  },

  albums: {
    link: "Albums",
    loading: "Opening albums …",
    label: "Albums under way",
    begun: (title: string, done: number, of: number) => `${title} is ${percent(done / (of || 1))} done.`,
    states: {
      begun: "",
      running: "",
      held: "Continues when your answer is done.",
      model: "Waiting for a model.",
      folder: "Its folder has to be opened again.",
      elsewhere: "Another tab writes it.",
      failed: "It has stopped.",
    },
    pause: "Pause",
    resume: "Continue",
    of: (act: string, title: string) => `${act}: ${title}`,
    tabTitle: (done: number, of: number, title: string) => `(${percent(done / (of || 1))}) ${title} – Ocelli`,
  },

  downloaded: (name: string) => `${name} is on this device now.`,

  store: {
    full: "There is no room to keep everything: what is new is gone when you close this window.",
    none: "This window keeps nothing: it is gone when you close it.",
    newer: "What is kept here was written by a newer version of this page, and stays as it is. This visit is not kept.",
    outdated: "This page was updated in another tab. Reload it, so that what is new is kept.",
    reload: "Reload",
  },

  footer: {
    offline: "Works offline from now on.",
    update: "A new version of this page is ready.",
    reload: "Reload",
  },

  problems: {
    details: "Details",
    of: (subject: string, title: string) => (subject ? `${subject}: ${title}` : title),
    other: { title: "Something went wrong in this page.", next: "Try again, or reload the page." },
    codes: {
      "webgpu-unavailable": {
        title: "This browser offers neither WebGPU nor the processor to the model.",
        next: "Use a current Chrome, Edge, Firefox or Safari, and open the page over https or from localhost.",
      },
      "limits-too-small": {
        title: "This model is too large for this device.",
        next: "Choose a smaller one, or close other pages that use the GPU.",
      },
      "budget-too-small": {
        title: "This model is too large for this device.",
        next: "Choose a smaller one, or check the graphics memory that you have told under “Model”.",
      },
      "out-of-memory": {
        title: "The graphics memory is full.",
        next: "Close other tabs that use it, or choose a smaller model, and try again.",
      },
      "device-lost": { title: "The graphics driver was reset several times.", next: "What was written is kept. Try again." },
      "self-test-failed": {
        title: "This device computes wrongly, so its answers could not be trusted.",
        next: "Update the graphics driver or use another browser.",
      },
      "invalid-image": { title: "That is not a picture this page can read.", next: "PNG, JPEG or WebP files always work." },
      "image-too-large": { title: "That picture is too large to open safely.", next: "Scale it down and try again." },
      "context-overflow": {
        title: "The pictures and the question are longer than the model can hold.",
        next: "Use fewer pictures, or start a new conversation.",
      },
      integrity: {
        title: "A part of the model was damaged on its way here, twice.",
        next: "The server's copy may be broken. Reload the page to try again.",
      },
      io: { title: "The model could not be downloaded.", next: "What is here is kept. Check the network connection and try again." },
      "invalid-checkpoint": {
        title: "These are not the files of a model that this page can read.",
        next: "Check the addresses or files: a GGUF file of Ministral 3, Mistral Small 3.1, Qwen3.5 or Qwen3-VL, its own mmproj file beside it.",
      },
      "unsupported-architecture": {
        title: "This model is of a family that Ocelli does not run.",
        next: "Choose a Ministral 3, Mistral Small 3.1, Qwen3.5 or Qwen3-VL model.",
      },
      "storage-full": {
        title: "There is no room to keep the model.",
        next: "Delete a stored model or free some disk space, then continue.",
      },
      "storage-unavailable": {
        title: "This window may not store files.",
        next: "Open the page in an ordinary window, or use the model from memory.",
      },
      "invalid-package": { title: "The model's files do not fit together.", next: "Check the address after ?model=, or reload the page." },
      tokenizer: { title: "The model's files do not fit together.", next: "Choose another file of this model." },
      "unsupported-schema": { title: "The model cannot be held to this format.", next: "Change the format." },
      "invalid-grammar": { title: "The model cannot be held to this format.", next: "Change the format." },
      "protocol-mismatch": { title: "This page was updated in another tab.", next: "Reload it." },
    },
  },
};
