/** German: words of settings, of the list of keys, and of pictures that another program has shared. */
import { count, number, sizeText } from "../format.js";
import type { SettingWords } from "../types.js";

const conversations = (value: number) => count(value, "Gespräch", "Gespräche");

export const settings = {
  heading: "Einstellungen",
  title: (section: string) => `Einstellungen: ${section}`,
  sections: {
    general: "Allgemein",
    answers: "Antworten",
    server: "Server",
    pictures: "Bilder",
    tasks: "Aufgaben",
    data: "Daten",
    privacy: "Datenschutz",
    about: "Über Ocelli",
  },

  general: {
    language: "Sprache",
    ofBrowser: "Wie der Browser",
    languageFailed: "Diese Sprache konnte nicht geladen werden. Prüfen Sie die Netzverbindung.",
    theme: "Farben",
    themes: { system: "Wie das System", light: "Hell", dark: "Dunkel" },
    atOnce: "Neue Bilder sofort beschreiben",
    singleKeys: "Einzelne Tasten als Kurzbefehle",
    singleKeysHelp: "Schalten Sie sie ab, wenn sie einer Spracheingabe oder einem Bildschirmleser in die Quere kommen.",
    keys: "Alle Tasten anzeigen",
    announces: "Was Bildschirmleser von einer Antwort erfahren",
    announceKinds: { sentences: "Jeden Satz", whole: "Das Ganze, wenn es vollständig ist", off: "Nichts" },
    screenOn: "Den Bildschirm anlassen, während ein Album geschrieben wird",
  },

  answers: {
    about: "Ein leeres Feld überlässt es dem Modell: Es gilt der Wert, den der Herausgeber empfiehlt.",
    instruction: "Anweisung für alle Gespräche",
    instructionHelp: "Zum Beispiel „Antworte kurz und auf Deutsch.“ Das Demomodell versteht sie nicht.",
    own: "Nach dem Modell",
    temperature: "Temperatur, 0 bis 2",
    top_p: "Top-p, 0 bis 1",
    top_k: "Top-k",
    min_p: "Min-p, 0 bis 1",
    frequency_penalty: "Abzug für häufige Wörter, −2 bis 2",
    presence_penalty: "Abzug für schon benutzte Wörter, −2 bis 2",
    seed: "Startwert",
    seedHelp: "Mit demselben Startwert bekommt dieselbe Frage dieselbe Antwort.",
    longest: "Längste Antwort",
    longestOf: (tokens: number) => `${number(tokens)} Tokens, etwa ${number(Math.round(tokens * 0.75))} Wörter`,
    longestOwn: "1.024 Tokens; 256 beim Demomodell",
    thinking: "Nachdenken vor der Antwort",
    thinkings: { off: "Aus", short: "Kurz", medium: "Mittel", long: "Lang" },
    thinkingNone: "Das jetzige Modell denkt nicht nach, bevor es antwortet.",
    context: "Länge der Gespräche",
    contextOf: (tokens: number) => `${number(tokens)} Tokens`,
    reloads: "Bei einer Änderung wird das Modell neu geladen.",
    reset: "Alles zurücksetzen",
    wasReset: "Alle Antworten richten sich wieder nach dem Modell.",
  },

  server: {
    about:
      "Statt dieses Geräts kann ein Server antworten: „ocelli serve“ auf einem anderen Rechner oder jeder andere mit OpenAIs API. Ihre Bilder, Ihre Fragen und das Gespräch werden dann an ihn gesendet.",
    served: "Diese Seite kommt von einem Server, der auch antwortet. Sonst wird nirgendwohin etwas gesendet.",
    address: "Adresse",
    addressHelp: "Zum Beispiel http://localhost:8080",
    key: "Schlüssel",
    keyHelp: "Er wird vergessen, wenn Sie diesen Tab schließen, es sei denn, Sie behalten ihn.",
    keepsKey: "Den Schlüssel in diesem Browser behalten",
    test: "Verbindung prüfen",
    testing: "Wird geprüft …",
    works: "Der Server antwortet.",
    use: "Diesen Server verwenden",
    faults: {
      address: {
        title: "Das ist keine Adresse eines Servers.",
        next: "Sie sieht aus wie http://localhost:8080 oder https://models.example.org.",
      },
      key: { title: "Dieser Schlüssel hat Zeichen, die kein Schlüssel hat.", next: "Kopieren Sie ihn noch einmal, ohne Leerzeichen." },
      mixed: {
        title: "Eine über https geöffnete Seite darf keinen Server über http fragen.",
        next: "Verwenden Sie eine Adresse mit https, oder öffnen Sie die Seite des Servers selbst.",
      },
      unreachable: {
        title: "Von diesem Server kommt keine Antwort.",
        next: "Prüfen Sie, ob er läuft, ob dieses Gerät ihn erreicht und ob er Seiten von hier zulässt (CORS; bei Ocelli: --origin).",
      },
      refused: { title: "Der Server lehnt den Schlüssel ab.", next: "Geben Sie in den Einstellungen unter „Server“ einen anderen ein." },
      notFound: { title: "Der Server hat diese Adresse oder dieses Modell nicht.", next: "Prüfen Sie die Adresse und die Verbindung." },
      busy: {
        title: "Der Server ist ausgelastet, oder eine Grenze ist erreicht.",
        next: "Warten Sie etwas und versuchen Sie es noch einmal.",
      },
      stream: {
        title: "Der Server sendet Antworten nicht als Strom.",
        next: "Diese Seite braucht Server-Sent Events; ein Proxy hält sie vielleicht zurück.",
      },
      cut: { title: "Der Server hat die Antwort vorzeitig beendet.", next: "Versuchen Sie es noch einmal." },
      other: {
        title: "Der Server meldet einen Fehler.",
        next: "Versuchen Sie es noch einmal, oder prüfen Sie das Modell und die Einstellungen der Antworten.",
      },
    },
  },

  pictures: {
    look: "Blick",
    seconds: "Höchste Zahl von Sekunden bis zum ersten Wort, bei „Automatisch“",
    secondsOf: (seconds: number) => `${number(seconds)} s`,
  },

  tasks: {
    about: "Aufgaben sind die Knöpfe über der Frage.",
    own: "Ihre eigenen Aufgaben",
    none: "Sie haben noch keine eigene Aufgabe.",
    builtIn: "Aufgaben dieser Seite",
    edit: "Ändern",
    duplicate: "Verdoppeln",
    up: "Nach oben",
    down: "Nach unten",
    of: (act: string, name: string) => `${act}: ${name}`,
    copyOf: (name: string) => `${name} (Kopie)`,
    create: "Neue Aufgabe",
    save: "Alle als Datei speichern",
    load: "Aus einer Datei hinzufügen",
    loaded: (tasks: number) => `${count(tasks, "Aufgabe", "Aufgaben")} hinzugefügt.`,
    unreadable: (place: string) => `Das ist keine Datei mit Aufgaben: ${place}.`,
    deleted: (name: string) => `„${name}“ ist gelöscht.`,
  },

  data: {
    keeps: "Gespräche auf diesem Gerät aufbewahren",
    keepsHelp: "Sonst ist jedes neue Gespräch vorübergehend.",
    cache: "Gespräche fortsetzen, ohne sie neu zu berechnen",
    cacheHelp: "Was das Modell berechnet hat, bleibt in Dateien dieses Browsers, höchstens 1 GB.",
    stored: "Auf diesem Gerät gespeichert",
    models: "Modelle",
    conversations: "Gespräche und ihre Bilder",
    albums: "Alben und Kopien ihrer Bilder",
    all: "Insgesamt, wie der Browser zählt",
    counting: "Wird gezählt …",
    sized: (bytes: number) => (bytes === 0 ? "nichts" : sizeText(bytes)),
    export: "Alle Gespräche als Datei speichern",
    markdown: "Als Markdown speichern",
    import: "Gespräche aus einer Datei hinzufügen",
    exported: (saved: number) => `${conversations(saved)} gespeichert.`,
    imported: (added: number, known: number, faulty: number, first: string) => {
      const more = [known > 0 && `${number(known)} schon vorhanden`, faulty > 0 && `${number(faulty)} nicht lesbar: ${first}`];
      return `${[`${conversations(added)} hinzugefügt`, ...more].filter(Boolean).join(", ")}.`;
    },
    notReadable: "Das ist keine Datei mit Gesprächen.",
    newer: "Diese Datei stammt von einer neueren Version der Seite.",
    deleteAll: "Alles löschen",
    deleteQuestion:
      "Alle Gespräche, Alben, Einstellungen und gespeicherten Modelle dieser Seite löschen? Das lässt sich nicht rückgängig machen.",
    deleteNow: "Jetzt alles löschen",
    keep: "Behalten",
  },

  privacy: {
    promises: [
      "Solange kein Server antwortet, verlassen Bilder, Fragen und Antworten dieses Gerät nie. Es gibt kein Konto, keine Statistik und nichts von anderen Websites in dieser Seite.",
      "Der Teil der Seite, der zeigt, was Modelle schreiben, erreicht nur diese Website. Nur die Teile, die Modelle holen und Ihren Server fragen, erreichen andere Websites, und sie zeigen nichts.",
      "Gespräche und Alben bleiben allein in diesem Browser, bis Sie sie löschen.",
    ],
    requests: "Anfragen an andere Websites, seit diese Seite geöffnet ist",
    none: "Keine.",
    request: (time: string, address: string) => `${time}: ${address}`,
    notSeen: "Sie lassen sich erst auflisten, wenn die Seite ohne Netz funktioniert, vom zweiten Besuch an.",
  },

  about: {
    version: (version: string) => `Ocelli ${version}`,
    what: "Bildverstehende Sprachmodelle im Browser, auf Ihrem eigenen Gerät.",
    licences: "Lizenzen der Bibliotheken dieser Seite",
    engineLicences: "Lizenzen der Bibliotheken der Engine",
    report: "Einen Bericht über dieses Gerät kopieren",
    copied: "Der Bericht ist kopiert.",
    notCopied: "Der Browser erlaubt das Kopieren nicht.",
  },

  keys: {
    heading: "Tasten",
    off: "Einzelne Tasten sind in den Einstellungen abgeschaltet.",
    groups: [
      {
        heading: "Überall",
        keys: [
          ["/", "eine Frage schreiben"],
          ["n", "neues Gespräch"],
          ["u", "Bilder hinzufügen"],
          ["c", "Gespräche"],
          ["a", "Alben"],
          ["m", "Modelle"],
          ["s", "Einstellungen"],
          ["?", "diese Tasten"],
          ["Esc", "das Fenster schließen oder die Antwort anhalten"],
        ],
      },
      {
        heading: "In der Frage",
        keys: [
          ["Enter", "senden"],
          ["Umschalt+Enter", "neue Zeile"],
          ["↑", "wenn sie leer ist: die letzte Frage ändern"],
        ],
      },
      {
        heading: "In einer Frage oder Antwort",
        keys: [
          ["[ ]", "frühere und spätere Fassung"],
          ["r", "neu antworten"],
          ["e", "ändern"],
          ["y", "kopieren"],
        ],
      },
      {
        heading: "In einem Album",
        keys: [
          ["j k", "nächstes und voriges Bild"],
          ["Enter", "den Text ändern"],
          ["Strg+Enter", "geprüft, und weiter zum nächsten"],
          ["x", "schmückend"],
          ["r", "neu schreiben"],
          ["Leertaste", "auswählen"],
        ],
      },
      {
        heading: "Im Rahmen um einen Ausschnitt",
        keys: [
          ["← ↑ → ↓", "um 1 % bewegen, mit Umschalt um 10 %"],
          ["Alt+← ↑ → ↓", "die Größe ändern"],
          ["Enter", "übernehmen"],
        ],
      },
    ],
  },

  inbox: {
    heading: "Geteilte Bilder",
    none: "Es gibt keine geteilten Bilder.",
    full: "Für die geteilten Bilder war kein Platz. Löschen Sie etwas unter Einstellungen, Daten, und teilen Sie sie noch einmal.",
    ask: "Fragen dazu stellen",
    album: "Ein Album daraus machen",
    discard: "Verwerfen",
  },
} satisfies SettingWords;
