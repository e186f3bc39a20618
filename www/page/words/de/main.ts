/** German: the words of the first view. */
import { altInstruction } from "../../../src/img-alt/instruction.js";
import { count, duration, number, percent, rough, sizeText } from "../format.js";
import type { Words } from "../types.js";

const tokens = (value: number) => count(value, "Token", "Tokens");

export const main = {
  title: "Ocelli: Fragen zu Ihren Bildern, auf Ihrem eigenen Gerät",
  name: "Ocelli",
  about: "Fragen Sie etwas zu Ihren Bildern. Alles geschieht auf diesem Gerät.",
  skip: "Zur Frage springen",
  close: "Schließen",
  more: "Mehr",
  delete: "Löschen",
  undo: "Rückgängig",

  loading: {
    starting: "Startet …",
    cancel: "Abbrechen",
    manifest: "Das Modell wird gesucht …",
    preparing: "Wird für dieses Gerät vorbereitet …",
    ready: "Das Modell ist bereit.",
    import: "Das Modell wird gelesen und umgewandelt",
    stored: "Das gespeicherte Modell wird gelesen",
    downloading: "Das Modell wird heruntergeladen",
    bytes: (stage: string, loaded: number, total: number, rate: number | null) =>
      `${stage}: ${sizeText(loaded)} von ${sizeText(total)}${rate ? `, ${sizeText(rate)} pro Sekunde, noch ${duration((total - loaded) / rate)}` : ""}`,
    kernels: (loaded: number, total: number) => ` · Vorbereitung für dieses Gerät: ${percent(loaded / (total || 1))}`,
    quarter: (part: number) => `Modell zu ${part} Prozent geladen`,
    repaired: (file: string) => `Ein gespeicherter Teil des Modells war beschädigt und wurde neu geholt: ${file}.`,
    cancelled: "Abgebrochen. Der umgewandelte Teil bleibt erhalten und kann fortgesetzt werden.",
  },

  device: {
    emulated: (name: string) => `einer GPU, die der Prozessor nachbildet${name ? ` (${name})` : ""}`,
    unnamed: "Ihrer GPU",
    processor: (threads: number | undefined) =>
      `dem Prozessor dieses Computers${threads === undefined ? "" : threads === 1 ? " mit einem Thread" : ` mit ${threads} Threads`}`,
    because: (device: string, reason: string) => `${device} (${reason})`,
    running: (device: string) => `Läuft auf ${device}.`,
  },

  conversations: {
    label: "Gespräche",
    open: "Gespräche",
    begin: "Neues Gespräch",
    begun: "Neues Gespräch.",
    temporary: "Vorübergehend",
    temporaryHelp: "Dieses Gespräch wird nicht aufbewahrt.",
    untitled: "Neues Gespräch",
    pinned: "Angeheftet",
    today: "Heute",
    yesterday: "Gestern",
    earlier: "Früher",
    none: "Gespräche werden hier aufbewahrt, auf diesem Gerät.",
    search: "Gespräche durchsuchen",
    found: (found: number) => (found === 0 ? "Nichts gefunden." : `${count(found, "Gespräch", "Gespräche")} gefunden.`),
    more: "Mehr anzeigen",
    menu: (title: string) => `Mehr: ${title}`,
    rename: "Umbenennen",
    newName: "Neuer Name",
    save: "Speichern",
    pin: "Anheften",
    unpin: "Lösen",
    deleted: (title: string) => `„${title}“ ist gelöscht.`,
    removed: "Die Nachricht ist gelöscht.",
    gone: "Dieses Gespräch gibt es nicht mehr.",
  },

  empty: {
    heading: "Was ist auf Ihrem Bild?",
    answers: "Legen Sie ein Bild ab, fügen Sie eines ein oder wählen Sie unten eines aus. Dann fragen Sie.",
    demo: "Das Demomodell kennt nur einfache Zeichnungen. Für Fotos brauchen Sie ein größeres Modell.",
    seeModels: "Modelle ansehen",
    examples: "Ein Beispiel ausprobieren",
    scene: "Beispielbild",
  },

  question: {
    label: "Ihre Frage",
    send: "Senden",
    stop: "Anhalten",
    drop: "Bilder hier ablegen oder einfügen, oder",
    choose: "Bilder auswählen",
    atOnce: "Sofort beschreiben",
    look: "Blick",
    looks: { low: "Kurzer Blick", auto: "Automatisch", high: "Jede Einzelheit" },
    seconds: (look: string, seconds: number) => `${look} (etwa ${duration(seconds)})`,
    heic: "Dieser Browser kann keine HEIC-Bilder lesen. Speichern Sie das Bild als JPEG, oder teilen Sie es aus der Foto-App als JPEG.",
    camera: "Kamera",
    screenshot: "Bildschirmfoto",
    screenshotName: "Bildschirmfoto",
    openPicture: (name: string) => `${name} öffnen`,
    pictures: "Bilder der nächsten Frage",
    remove: (name: string) => `${name} entfernen`,
    suggestions: "Vorgeschlagene Fragen",
    editing: "Sie ändern eine frühere Frage.",
    cancelEdit: "So lassen, wie sie war",
    enter: " sendet, ",
    shiftEnter: " beginnt eine neue Zeile, ",
    escape: " hält an.",
  },

  tasks: {
    all: {
      describe: {
        name: "Beschreiben",
        instruction:
          "Beschreibe dieses Bild auf Deutsch in zwei bis vier Sätzen: was es zeigt, wo, und was ungewöhnlich ist. Danach alle Wörter darin, so wie sie dastehen.",
      },
      alt: { name: "Alternativtext", instruction: altInstruction({ language: "German" }) },
      caption: {
        name: "Bildunterschrift",
        instruction: "Schreibe auf Deutsch eine Bildunterschrift zu diesem Bild: ein Satz, höchstens 15 Wörter.",
      },
      read: {
        name: "Text lesen",
        instruction:
          "Schreibe allen Text in diesem Bild auf, Zeile für Zeile, genau wie er dasteht, in der Reihenfolge des Lesens. Schreibe sonst nichts. Wenn keiner da ist, schreibe: (kein Text)",
      },
      fields: {
        name: "Felder ausfüllen …",
        instruction: "Fülle die Felder anhand des Bildes aus. Wo es nichts dazu sagt, nimm null.",
      },
      rules: { name: "Regeln prüfen …", instruction: "Beurteile das Bild nach diesen Regeln und keinen anderen. Regeln:" },
      find: { name: "Finden …", instruction: "" },
    },
    label: "Aufgaben",
    own: "Neue Aufgabe …",
    changeFields: "Felder ändern",
    chosen: (name: string) => `${name.replace(" …", "")}: wird mit dem nächsten Bild erledigt.`,
    cancel: "Abbrechen",
  },

  answer: {
    you: "Sie",
    name: "Ocelli",
    topic: "Neue Bilder: beantwortet ohne das, was darüber steht",
    begins: "Antwort beginnt",
    complete: "Antwort vollständig",
    stopped: "Angehalten.",
    thinking: "Denkt nach …",
    waiting: "Wartet auf das Modell …",
    picture: (picture: number, of: number, width: number, height: number) =>
      of > 1 ? `Bild ${picture} von ${of} wird angesehen, ${width} × ${height} …` : `Das Bild wird angesehen, ${width} × ${height} …`,
    reading: "Die Frage wird gelesen …",
    recovering: "Die Grafikkarte wurde zurückgesetzt; die Antwort geht gleich weiter …",
    thoughts: "Gedanken",
    cut: "Die Antwort hat die eingestellte größte Länge erreicht.",
    interrupted: "Unterbrochen, als die Seite geschlossen wurde.",
    failed: "Auf diese Frage gibt es keine Antwort.",
    retry: "Noch einmal versuchen",
    truncated: (turns: number) =>
      `${turns === 1 ? "Die älteste Frage wurde" : `Die ältesten ${number(turns)} Fragen wurden`} weggelassen: Das Gespräch ist länger, als das Modell fassen kann.`,
    pictureGone: (name: string) => `${name} ist nicht mehr da.`,
    copy: "Kopieren",
    copied: "Kopiert",
    copyAnswer: "Antwort kopieren",
    again: "Neu antworten",
    continue: "Fortsetzen",
    edit: "Ändern",
    delete: "Löschen",
    version: (at: number, of: number) => `${at} von ${of}`,
    earlier: "Frühere Fassung",
    later: "Spätere Fassung",
    fromHere: (model: string) => `Ab hier: ${model}`,
    details: "Einzelheiten",
    model: (name: string) => `Modell: ${name}`,
    prompt: (of: number, cached: number) => `Frage: ${tokens(of)}${cached > 0 ? `, davon ${number(cached)} von vorher bekannt` : ""}`,
    length: (of: number) => `Antwort: ${tokens(of)}`,
    speed: (firstMs: number, perSecond: number) =>
      `Erstes Wort nach ${rough(firstMs / 1000)} s, dann ${rough(perSecond * 0.75)} Wörter (${rough(perSecond)} Tokens) pro Sekunde`,
    shown: (width: number, height: number, of: number) => `Bild: ${width} × ${height}, ${tokens(of)}`,
    seed: (seed: number) => `Startwert: ${seed}`,
  },

  models: {
    demo: "Demomodell",
    own: "Ihr Modell",
    heading: "Modell: ",
    change: "Wechseln",
    resume: "Fortsetzen",
    pause: "Pause",
    loading: "Modelle werden geöffnet …",
  },

  settings: {
    link: "Einstellungen",
    loading: "Einstellungen werden geöffnet …",
    keys: "Tasten",
  },

  server: {
    sentTo: (address: string) => `Bilder und Fragen gehen an ${address}`,
    leave: "Wieder auf diesem Gerät antworten",
  },

  albums: {
    link: "Alben",
    loading: "Alben werden geöffnet …",
    label: "Alben in Arbeit",
    begun: (title: string, done: number, of: number) => `${title} ist zu ${percent(done / (of || 1))} fertig.`,
    states: {
      begun: "",
      running: "",
      held: "Geht weiter, wenn Ihre Antwort fertig ist.",
      model: "Wartet auf ein Modell.",
      folder: "Der Ordner muss noch einmal geöffnet werden.",
      elsewhere: "Ein anderer Tab schreibt es.",
      failed: "Es ist stehen geblieben.",
    },
    pause: "Pause",
    resume: "Fortsetzen",
    of: (act: string, title: string) => `${act}: ${title}`,
    tabTitle: (done: number, of: number, title: string) => `(${percent(done / (of || 1))}) ${title} – Ocelli`,
  },

  downloaded: (name: string) => `${name} ist jetzt auf diesem Gerät.`,

  store: {
    full: "Der Platz reicht nicht, um alles aufzubewahren: Was neu ist, geht verloren, wenn Sie dieses Fenster schließen.",
    none: "Dieses Fenster bewahrt nichts auf: Alles geht verloren, wenn Sie es schließen.",
    newer:
      "Was hier aufbewahrt ist, hat eine neuere Version dieser Seite geschrieben. Es bleibt, wie es ist; dieser Besuch wird nicht aufbewahrt.",
    outdated: "Diese Seite wurde in einem anderen Tab aktualisiert. Laden Sie sie neu, damit Neues aufbewahrt wird.",
    reload: "Neu laden",
  },

  footer: {
    offline: "Funktioniert ab jetzt ohne Netz.",
    update: "Eine neue Version dieser Seite ist bereit.",
    reload: "Neu laden",
  },

  problems: {
    details: "Einzelheiten",
    of: (subject: string, title: string) => (subject ? `${subject}: ${title}` : title),
    other: { title: "In dieser Seite ist etwas schiefgegangen.", next: "Versuchen Sie es noch einmal, oder laden Sie die Seite neu." },
    codes: {
      "webgpu-unavailable": {
        title: "Dieser Browser bietet dem Modell weder WebGPU noch den Prozessor an.",
        next: "Nehmen Sie ein aktuelles Chrome, Edge, Firefox oder Safari, und öffnen Sie die Seite über https oder von localhost.",
      },
      "limits-too-small": {
        title: "Dieses Modell ist zu groß für dieses Gerät.",
        next: "Wählen Sie ein kleineres, oder schließen Sie andere Seiten, die die GPU benutzen.",
      },
      "budget-too-small": {
        title: "Dieses Modell ist zu groß für dieses Gerät.",
        next: "Wählen Sie ein kleineres, oder prüfen Sie den Grafikspeicher, den Sie unter „Modell“ angegeben haben.",
      },
      "out-of-memory": {
        title: "Der Grafikspeicher ist voll.",
        next: "Schließen Sie andere Tabs, die ihn benutzen, oder wählen Sie ein kleineres Modell, und versuchen Sie es noch einmal.",
      },
      "device-lost": {
        title: "Der Grafiktreiber wurde mehrmals zurückgesetzt.",
        next: "Was geschrieben ist, bleibt erhalten. Versuchen Sie es noch einmal.",
      },
      "self-test-failed": {
        title: "Dieses Gerät rechnet falsch; seinen Antworten wäre nicht zu trauen.",
        next: "Aktualisieren Sie den Grafiktreiber, oder nehmen Sie einen anderen Browser.",
      },
      "invalid-image": { title: "Das ist kein Bild, das diese Seite lesen kann.", next: "PNG, JPEG und WebP gehen immer." },
      "image-too-large": {
        title: "Dieses Bild ist zu groß, um es sicher zu öffnen.",
        next: "Verkleinern Sie es, und versuchen Sie es noch einmal.",
      },
      "context-overflow": {
        title: "Die Bilder und die Frage sind länger, als das Modell fassen kann.",
        next: "Nehmen Sie weniger Bilder, oder beginnen Sie ein neues Gespräch.",
      },
      integrity: {
        title: "Ein Teil des Modells kam zweimal beschädigt an.",
        next: "Vielleicht ist die Kopie auf dem Server kaputt. Laden Sie die Seite neu, um es noch einmal zu versuchen.",
      },
      io: {
        title: "Das Modell konnte nicht heruntergeladen werden.",
        next: "Was da ist, bleibt erhalten. Prüfen Sie die Netzverbindung, und versuchen Sie es noch einmal.",
      },
      "invalid-checkpoint": {
        title: "Das sind keine Dateien eines Modells, das diese Seite lesen kann.",
        next: "Prüfen Sie die Adressen oder Dateien: eine GGUF-Datei von Ministral 3, Mistral Small 3.1, Qwen3.5 oder Qwen3-VL mit der zugehörigen mmproj-Datei.",
      },
      "unsupported-architecture": {
        title: "Dieses Modell gehört zu einer Familie, die Ocelli nicht ausführt.",
        next: "Wählen Sie ein Modell von Ministral 3, Mistral Small 3.1, Qwen3.5 oder Qwen3-VL.",
      },
      "storage-full": {
        title: "Es ist kein Platz, um das Modell aufzubewahren.",
        next: "Löschen Sie ein gespeichertes Modell, oder schaffen Sie Platz auf dem Datenträger; dann setzen Sie fort.",
      },
      "storage-unavailable": {
        title: "Dieses Fenster darf keine Dateien speichern.",
        next: "Öffnen Sie die Seite in einem gewöhnlichen Fenster, oder benutzen Sie das Modell aus dem Arbeitsspeicher.",
      },
      "invalid-package": {
        title: "Die Dateien des Modells passen nicht zusammen.",
        next: "Prüfen Sie die Adresse nach ?model=, oder laden Sie die Seite neu.",
      },
      tokenizer: { title: "Die Dateien des Modells passen nicht zusammen.", next: "Wählen Sie eine andere Datei dieses Modells." },
      "unsupported-schema": { title: "Das Modell kann nicht an dieses Format gebunden werden.", next: "Ändern Sie das Format." },
      "invalid-grammar": { title: "Das Modell kann nicht an dieses Format gebunden werden.", next: "Ändern Sie das Format." },
      "protocol-mismatch": { title: "Diese Seite wurde in einem anderen Tab aktualisiert.", next: "Laden Sie sie neu." },
    },
  },
} satisfies Words;
