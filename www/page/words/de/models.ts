/** German: words of the list of models, of downloads, and of questions that wait for a model. */
import { duration, percent, rough, sizeText } from "../format.js";
import type { ModelWords } from "../types.js";

export const models = {
  held: {
    model: "Wird gesendet, sobald das Modell bereit ist.",
    cancel: "Abbrechen",
    photograph: "Das sieht nach einem Foto aus. Das Demomodell kennt nur einfache Zeichnungen.",
    download: (name: string, bytes: number | null, seconds: number | null) => {
      const facts = [bytes === null ? null : sizeText(bytes), seconds === null ? null : `etwa ${duration(seconds)}`].filter(Boolean);
      return `${name} herunterladen${facts.length > 0 ? ` (${facts.join(", ")})` : ""} und beschreiben`;
    },
    use: (name: string) => `Mit ${name} beschreiben`,
    host: (host: string) => `Es kommt von ${host}. Ihr Bild bleibt auf diesem Gerät.`,
    other: "Ein anderes Modell wählen",
    anyway: "Trotzdem das Demomodell fragen",
    none: "Kein Modell, das Fotos sieht, passt auf dieses Gerät.",
    willAnswer: (name: string) => `${name} antwortet, sobald es da ist. Sie können die Seite schließen und wiederkommen.`,
  },

  downloads: {
    label: "Downloads",
    queued: (name: string) => `${name} wartet auf den Download davor.`,
    running: (name: string, loaded: number, total: number, rate: number | null) =>
      total === 0
        ? `${name}: Dateien werden gesucht …`
        : `${name}: ${percent(loaded / total)} von ${sizeText(total)}${rate ? `, ${sizeText(rate)} pro Sekunde, noch ${duration((total - loaded) / rate)}` : ""}`,
    paused: (name: string, loaded: number, total: number) =>
      `${name}: bei ${percent(loaded / (total || 1))} angehalten. Sie können jederzeit fortsetzen.`,
    failed: (name: string, title: string) => `${name}: ${title}`,
    pause: (name: string) => `Download von ${name} anhalten`,
    resume: (name: string) => `Download von ${name} fortsetzen`,
    discard: (name: string) => `Download von ${name} verwerfen`,
  },

  linked: {
    heading: "Ein Modell einer anderen Website laden?",
    names: "Der Link, der diese Seite geöffnet hat, nennt ein Modell von ",
    unknownSize: "Größe unbekannt",
    size: (bytes: number) => sizeText(bytes),
    advice:
      "Es würde heruntergeladen, in diesem Browser gespeichert und hier die Antworten schreiben. Ihre Bilder und Fragen werden nirgendwohin gesendet. Laden Sie es nur, wenn Sie jener Website vertrauen.",
    refuse: "Nicht laden",
    load: "Laden",
  },

  list: "Modelle zur Auswahl",
  demoTitle: "Demomodell",
  demoAbout:
    "Gehört zu dieser Seite. Winzig: Es kennt gezeichnete Formen, kurze Wörter, Uhren, Balkendiagramme und Verkehrsschilder, sonst nichts.",
  demoDownload: "Nichts weiter herunterzuladen.",
  runsOn: (device: string) => `Modelle laufen auf ${device}.`,
  test: "Dieses Gerät testen",
  room: (free: number) => `Dieser Browser hat Platz für ${sizeText(free)}.`,
  memory: "Grafikspeicher",
  memoryUnknown: "Weiß ich nicht",
  memoryOf: (gigabytes: number, isMost: boolean) => (isMost ? `${gigabytes} GB oder mehr` : `${gigabytes} GB`),
  memoryHelp:
    "Browser verraten ihn nicht. Bei Apple und integrierten GPUs ist es etwa die Hälfte des Arbeitsspeichers. Die Angabe gilt ab dem nächsten Laden.",
  protected: "Was hier gespeichert ist, ist vor dem Aufräumen geschützt.",
  unprotected: "Der Browser darf löschen, was hier gespeichert ist, wenn der Datenträger voll ist.",
  protect: "Den Browser bitten, es zu behalten",
  onDevice: "Auf diesem Gerät",
  larger: "Größer",
  licence: (licence: string) => `Lizenz: ${licence}`,
  size: (bytes: number, isEstimate: boolean) => `${isEstimate ? "etwa " : ""}${sizeText(bytes)}`,
  download: (size: string | null, seconds: number | null) =>
    `Download: ${size ?? "vorher nicht bekannt"}${seconds === null ? "" : `, bereit in ${duration(seconds)}`}`,
  downloaded: "Download: keiner, es ist schon da",
  takes: (size: string) => `Belegt: ${size} auf diesem Gerät`,
  needs: (least: string, all: string, isOnProcessor: boolean) =>
    `${isOnProcessor ? "Arbeitsspeicher" : "Grafikspeicher"}: ${least} bis ${all}`,
  speedMeasured: (tokensPerSecond: number) => `Tempo: ${rough(tokensPerSecond * 0.75)} Wörter pro Sekunde (hier gemessen)`,
  onProcessor: (tokensPerSecond: number, isSlow: boolean) => {
    const perSecond = tokensPerSecond * 0.75;
    const speed = perSecond >= 1.5 ? `etwa ${Math.round(perSecond)} Wörter` : perSecond >= 0.75 ? "etwa ein Wort" : "weniger als ein Wort";
    return `Läuft auf dem Prozessor: ${speed} pro Sekunde${isSlow ? ", das ist langsam" : ""}.`;
  },
  fits: (all: number) => `Sollte hier laufen. Braucht etwa ${sizeText(all)} Grafikspeicher.`,
  use: "Benutzen",
  inUse: "In Gebrauch",
  get: (bytes: number | null) => (bytes === null ? "Herunterladen" : `${sizeText(bytes)} herunterladen`),
  discard: "Verwerfen",
  of: (act: string, name: string) => `${act}: ${name}`,
  ownHeading: "Ihr eigenes Modell",
  ownAbout1: "Eine GGUF-Datei von Ministral 3, Mistral Small 3.1, Qwen3-VL oder Qwen3.5 mit der Datei ",
  ownAbout2:
    ", durch die es sehen kann, oder ein Ordner mit safetensors von diesen oder von Llama 3.2 Vision. Dateien werden dort gelesen, wo sie liegen; nichts wird hochgeladen.",
  address: "Adresse einer GGUF-Datei oder eines Ordners",
  mmprojAddress: "Adresse der mmproj-Datei, wenn es eine GGUF-Datei ist",
  load: "Von dieser Adresse laden",
  files: "Oder legen Sie die Dateien irgendwo auf dieser Seite ab, oder",
  chooseFiles: "Modelldateien auswählen",
  loadFiles: "Diese Dateien laden",
  fileModel: "Modell",
  fileVision: "Sehen (mmproj)",
  noModel: "fehlt noch: die GGUF-Datei mit der Sprache",
  noVision: "fehlt: Das Modell wird keine Bilder sehen",
  file: (name: string, bytes: number) => `${name}, ${sizeText(bytes)}`,
  storedHeading: "Auf diesem Gerät gespeichert",
  entry: (name: string, bytes: number, isComplete: boolean) => `${name}, ${sizeText(bytes)}${isComplete ? "" : ", unvollständig"}`,
  takeStored: (name: string) => `${name} benutzen`,
  deleteStored: (name: string) => `${name} löschen`,
  deleteQuestion: (name: string, bytes: number) => `${name} löschen? Es belegt ${sizeText(bytes)} und müsste neu heruntergeladen werden.`,
  keep: "Behalten",
  deleted: (name: string) => `${name} ist gelöscht.`,
  partly: (name: string, loaded: number, total: number) =>
    `${name} ist zu ${percent(loaded / (total || 1))} umgewandelt (${sizeText(loaded)} von ${sizeText(total)}). `,
  sameFiles: (files: string) => `Zum Fortsetzen geben Sie dieselben Dateien noch einmal: ${files}.`,
  discardPart: (name: string) => `Den umgewandelten Teil von ${name} verwerfen`,
  resumePart: (name: string) => `Die Umwandlung von ${name} fortsetzen`,
} satisfies ModelWords;
