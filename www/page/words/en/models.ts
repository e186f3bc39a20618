/** English: words of the list of models, of downloads, and of questions that wait for a model. */
import { duration, percent, rough, sizeText } from "../format.js";

/** A token is about this many words. */
const WORDS_OF_TOKEN = 0.75;

export const models = {
  held: {
    model: "Will be sent when the model is ready.",
    cancel: "Cancel",
    photograph: "This looks like a photograph. The demo model knows simple drawings only.",
    download: (name: string, bytes: number | null, seconds: number | null) => {
      const facts = [bytes === null ? null : sizeText(bytes), seconds === null ? null : `about ${duration(seconds)}`].filter(Boolean);
      return `Download ${name}${facts.length > 0 ? ` (${facts.join(", ")})` : ""} and describe it`;
    },
    use: (name: string) => `Use ${name} and describe it`,
    host: (host: string) => `It comes from ${host}. Your picture stays on this device.`,
    other: "Choose another model",
    anyway: "Ask the demo model anyway",
    none: "No model that sees photographs fits this device.",
    willAnswer: (name: string) => `${name} will answer it as soon as it is here. You may close the page and come back.`,
  },

  downloads: {
    label: "Downloads",
    queued: (name: string) => `${name} waits for the download before it.`,
    running: (name: string, loaded: number, total: number, rate: number | null) =>
      total === 0
        ? `${name}: looking for its files …`
        : `${name}: ${percent(loaded / total)} of ${sizeText(total)}${rate ? `, ${sizeText(rate)} a second, ${duration((total - loaded) / rate)} left` : ""}`,
    paused: (name: string, loaded: number, total: number) => `${name}: paused at ${percent(loaded / (total || 1))}. Continue at any time.`,
    failed: (name: string, title: string) => `${name}: ${title}`,
    pause: (name: string) => `Pause the download of ${name}`,
    resume: (name: string) => `Continue the download of ${name}`,
    discard: (name: string) => `Discard the download of ${name}`,
  },

  linked: {
    heading: "Load a model of another site?",
    names: "The link that opened this page names a model from ",
    unknownSize: "Unknown size",
    size: (bytes: number) => sizeText(bytes),
    advice:
      "It would be downloaded, stored in this browser and write the answers here. Your pictures and questions are not sent anywhere. Load it only if you trust that site.",
    refuse: "Do not load it",
    load: "Load it",
  },

  list: "Models to choose from",
  demoTitle: "Demo model",
  demoAbout: "Comes with this page. Tiny: it knows drawn shapes, short words, clocks, bar charts and road signs, nothing else.",
  demoDownload: "Nothing more to download.",
  runsOn: (device: string) => `Models run on ${device}.`,
  test: "Test this device",
  room: (free: number) => `This browser has room for ${sizeText(free)}.`,
  memory: "Graphics memory",
  memoryUnknown: "I don't know",
  memoryOf: (gigabytes: number, isMost: boolean) => (isMost ? `${gigabytes} GB or more` : `${gigabytes} GB`),
  memoryHelp:
    "Browsers do not tell it. On Apple and integrated GPUs it is about half of the machine's memory. It counts from the next load on.",
  protected: "What is stored here is protected from being cleared.",
  unprotected: "The browser may clear what is stored here when the disk is full.",
  protect: "Ask the browser to keep it",
  onDevice: "On this device",
  larger: "Larger",
  licence: (licence: string) => `Licence: ${licence}`,
  size: (bytes: number, isEstimate: boolean) => `${isEstimate ? "about " : ""}${sizeText(bytes)}`,
  download: (size: string | null, seconds: number | null) =>
    `Download: ${size ?? "not known before it begins"}${seconds === null ? "" : `, ${duration(seconds)} until it is ready`}`,
  downloaded: "Download: none, it is here",
  takes: (size: string) => `Takes: ${size} on this device`,
  needs: (least: string, all: string, isOnProcessor: boolean) => `${isOnProcessor ? "Memory" : "Graphics memory"}: ${least} to ${all}`,
  speedMeasured: (tokensPerSecond: number) => `Speed: ${rough(tokensPerSecond * WORDS_OF_TOKEN)} words a second (measured here)`,
  onProcessor: (tokensPerSecond: number, isSlow: boolean) => {
    const perSecond = tokensPerSecond * WORDS_OF_TOKEN;
    const speed = perSecond >= 1.5 ? `about ${Math.round(perSecond)} words` : perSecond >= 0.75 ? "about a word" : "less than a word";
    return `Runs on the processor: ${speed} a second${isSlow ? ", which is slow" : ""}.`;
  },
  fits: (all: number) => `Should run here. Needs about ${sizeText(all)} of graphics memory.`,
  use: "Use",
  inUse: "In use",
  get: (bytes: number | null) => (bytes === null ? "Download" : `Download ${sizeText(bytes)}`),
  discard: "Discard",
  of: (act: string, name: string) => `${act}: ${name}`,
  ownHeading: "Your own model",
  ownAbout1: "A GGUF file of Ministral 3, Mistral Small 3.1, Qwen3-VL or Qwen3.5 with the ",
  ownAbout2:
    " file that lets it see, or a folder of safetensors of these or of Llama 3.2 Vision. Files are read where they are; nothing is uploaded.",
  address: "Address of a GGUF file or a folder",
  mmprojAddress: "Address of its mmproj file, if it is a GGUF file",
  load: "Load from this address",
  files: "Or drop the files anywhere on this page, or",
  chooseFiles: "Choose model files",
  loadFiles: "Load these files",
  fileModel: "Model",
  fileVision: "Vision (mmproj)",
  noModel: "not given yet: the GGUF file with the words",
  noVision: "not given: the model will not see pictures",
  file: (name: string, bytes: number) => `${name}, ${sizeText(bytes)}`,
  storedHeading: "Stored on this device",
  entry: (name: string, bytes: number, isComplete: boolean) => `${name}, ${sizeText(bytes)}${isComplete ? "" : ", not complete"}`,
  takeStored: (name: string) => `Use ${name}`,
  deleteStored: (name: string) => `Delete ${name}`,
  deleteQuestion: (name: string, bytes: number) => `Delete ${name}? It takes ${sizeText(bytes)} and would have to be downloaded again.`,
  keep: "Keep it",
  deleted: (name: string) => `${name} is deleted.`,
  partly: (name: string, loaded: number, total: number) =>
    `${name} is ${percent(loaded / (total || 1))} imported (${sizeText(loaded)} of ${sizeText(total)}). `,
  sameFiles: (files: string) => `To continue, give the same files again: ${files}.`,
  discardPart: (name: string) => `Discard what is imported of ${name}`,
  resumePart: (name: string) => `Continue importing ${name}`,
};
