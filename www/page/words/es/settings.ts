/** Spanish: words of settings, of the list of keys, and of pictures that another program has shared. */
import { count, number, sizeText } from "../format.js";
import type { SettingWords } from "../types.js";

export const settings = {
  heading: "Ajustes",
  title: (section: string) => `Ajustes: ${section}`,
  sections: {
    general: "General",
    answers: "Respuestas",
    server: "Servidor",
    pictures: "Imágenes",
    tasks: "Tareas",
    data: "Datos",
    privacy: "Privacidad",
    about: "Acerca de",
  },

  general: {
    language: "Idioma",
    ofBrowser: "Como el navegador",
    languageFailed: "No se pudo cargar este idioma. Revise la conexión de red.",
    theme: "Colores",
    themes: { system: "Como el sistema", light: "Claro", dark: "Oscuro" },
    atOnce: "Describir enseguida las imágenes nuevas",
    singleKeys: "Teclas sueltas como atajos",
    singleKeysHelp: "Desactívelas si estorban al dictado o a un lector de pantalla.",
    keys: "Mostrar todas las teclas",
    announces: "Qué se comunica de una respuesta a los lectores de pantalla",
    announceKinds: { sentences: "Cada frase", whole: "Todo, cuando esté completa", off: "Nada" },
    screenOn: "Mantener la pantalla encendida mientras se escribe un álbum",
  },

  answers: {
    about: "Un campo vacío lo deja en manos del modelo: el valor que recomienda quien lo publica.",
    instruction: "Instrucción para todas las conversaciones",
    instructionHelp: "Por ejemplo, «Responde brevemente, en español». El modelo de demostración no la entiende.",
    own: "Según el modelo",
    temperature: "Temperatura, de 0 a 2",
    top_p: "Top-p, de 0 a 1",
    top_k: "Top-k",
    min_p: "Min-p, de 0 a 1",
    frequency_penalty: "Penalización por frecuencia, de −2 a 2",
    presence_penalty: "Penalización por presencia, de −2 a 2",
    seed: "Semilla",
    seedHelp: "Con la misma semilla, la misma pregunta recibe la misma respuesta.",
    longest: "Respuesta más larga",
    longestOf: (tokens: number) => `${number(tokens)} tokens, unas ${number(Math.round(tokens * 0.75))} palabras`,
    longestOwn: "1024 tokens; 256 con el modelo de demostración",
    thinking: "Pensar antes de responder",
    thinkings: { off: "No", short: "Poco", medium: "Medio", long: "Mucho" },
    thinkingNone: "El modelo actual no piensa antes de responder.",
    context: "Longitud de las conversaciones",
    contextOf: (tokens: number) => `${number(tokens)} tokens`,
    reloads: "Al cambiarlo, el modelo se vuelve a cargar.",
    reset: "Restablecer todo",
    wasReset: "Todas las respuestas vuelven a depender del modelo.",
  },

  server: {
    about:
      "Un servidor puede responder en lugar de este dispositivo: «ocelli serve» en otro equipo, o cualquier otro con la API de OpenAI. Entonces se le envían sus imágenes, sus preguntas y la conversación.",
    served: "Esta página viene de un servidor, que también responde. No se envía nada a ningún otro sitio.",
    address: "Dirección",
    addressHelp: "Por ejemplo, http://localhost:8080",
    key: "Clave",
    keyHelp: "Se olvida al cerrar esta pestaña, salvo que decida guardarla.",
    keepsKey: "Guardar la clave en este navegador",
    test: "Probar la conexión",
    testing: "Probando …",
    works: "El servidor responde.",
    use: "Usar este servidor",
    faults: {
      address: {
        title: "Esto no es la dirección de un servidor.",
        next: "Tiene la forma http://localhost:8080 o https://models.example.org.",
      },
      key: { title: "Esta clave tiene caracteres que ninguna clave tiene.", next: "Cópiela de nuevo, sin espacios." },
      mixed: {
        title: "Una página abierta por https no puede consultar un servidor por http.",
        next: "Use una dirección con https, o abra la página del propio servidor.",
      },
      unreachable: {
        title: "Este servidor no responde.",
        next: "Compruebe que funciona, que este dispositivo llega a él y que admite páginas de este sitio (CORS; con Ocelli: --origin).",
      },
      refused: { title: "El servidor rechaza la clave.", next: "Escriba otra en los ajustes, en «Servidor»." },
      notFound: { title: "El servidor no tiene esta dirección o este modelo.", next: "Compruebe la dirección y pruebe la conexión." },
      busy: { title: "El servidor está ocupado, o se ha alcanzado un límite.", next: "Espere un momento e inténtelo de nuevo." },
      stream: {
        title: "El servidor no envía las respuestas por partes.",
        next: "Esta página necesita eventos enviados por el servidor (SSE); puede que un proxy los retenga.",
      },
      cut: { title: "El servidor terminó la respuesta antes de tiempo.", next: "Inténtelo de nuevo." },
      other: {
        title: "El servidor comunica un error.",
        next: "Inténtelo de nuevo, o compruebe el modelo y los ajustes de las respuestas.",
      },
    },
  },

  pictures: {
    look: "Mirada",
    seconds: "Segundos como máximo hasta la primera palabra, con «Automática»",
    secondsOf: (seconds: number) => `${number(seconds)} s`,
  },

  tasks: {
    about: "Las tareas son los botones que están sobre la pregunta.",
    own: "Sus propias tareas",
    none: "Todavía no tiene ninguna tarea propia.",
    builtIn: "Tareas de esta página",
    edit: "Editar",
    duplicate: "Duplicar",
    up: "Subir",
    down: "Bajar",
    of: (act: string, name: string) => `${act}: ${name}`,
    copyOf: (name: string) => `${name} (copia)`,
    create: "Nueva tarea",
    save: "Guardar todas en un archivo",
    load: "Añadir desde un archivo",
    loaded: (tasks: number) => `${count(tasks, "tarea añadida", "tareas añadidas")}.`,
    unreadable: (place: string) => `Este no es un archivo de tareas: ${place}.`,
    deleted: (name: string) => `«${name}» se ha eliminado.`,
  },

  data: {
    keeps: "Conservar las conversaciones en este dispositivo",
    keepsHelp: "Si no, cada conversación nueva es temporal.",
    cache: "Continuar las conversaciones sin volver a calcularlas",
    cacheHelp: "Lo que el modelo ha calculado se guarda en archivos de este navegador, como máximo 1 GB.",
    stored: "Guardado en este dispositivo",
    models: "Modelos",
    conversations: "Conversaciones y sus imágenes",
    albums: "Álbumes y copias de sus imágenes",
    all: "En total, según el navegador",
    counting: "Contando …",
    sized: (bytes: number) => (bytes === 0 ? "nada" : sizeText(bytes)),
    export: "Guardar todas las conversaciones en un archivo",
    markdown: "Guardarlas como Markdown",
    import: "Añadir conversaciones desde un archivo",
    exported: (saved: number) => `${count(saved, "conversación guardada", "conversaciones guardadas")}.`,
    imported: (added: number, known: number, faulty: number, first: string) => {
      const more = [known > 0 && `${number(known)} ya estaban aquí`, faulty > 0 && `${count(faulty, "ilegible", "ilegibles")}: ${first}`];
      return `${[count(added, "conversación añadida", "conversaciones añadidas"), ...more].filter(Boolean).join(", ")}.`;
    },
    notReadable: "Este no es un archivo de conversaciones.",
    newer: "Este archivo lo hizo una versión más nueva de la página.",
    deleteAll: "Eliminar todo",
    deleteQuestion:
      "¿Eliminar todas las conversaciones, los álbumes, los ajustes y los modelos guardados de esta página? No se puede deshacer.",
    deleteNow: "Eliminar todo ahora",
    keep: "Conservarlo",
  },

  privacy: {
    promises: [
      "Mientras no responda un servidor, las imágenes, las preguntas y las respuestas nunca salen de este dispositivo. No hay cuenta ni estadísticas, ni nada de otro sitio en esta página.",
      "La parte de la página que muestra lo que escriben los modelos solo puede llegar a este sitio. Solo las partes que descargan modelos y consultan su servidor pueden llegar a otros sitios, y no muestran nada.",
      "Las conversaciones y los álbumes se guardan únicamente en este navegador, hasta que usted los elimine.",
    ],
    requests: "Peticiones a otros sitios desde que se abrió esta página",
    none: "Ninguna.",
    request: (time: string, address: string) => `${time}: ${address}`,
    notSeen: "Solo se pueden enumerar cuando la página funciona sin conexión, a partir de la segunda visita.",
  },

  about: {
    version: (version: string) => `Ocelli ${version}`,
    what: "Modelos de visión y lenguaje en el navegador, en su propio dispositivo.",
    licences: "Licencias de las bibliotecas de la página",
    engineLicences: "Licencias de las bibliotecas del motor",
    report: "Copiar un informe sobre este dispositivo",
    copied: "El informe se ha copiado.",
    notCopied: "El navegador no permite copiar.",
  },

  keys: {
    heading: "Teclas",
    off: "Las teclas sueltas están desactivadas en los ajustes.",
    groups: [
      {
        heading: "En cualquier parte",
        keys: [
          ["/", "escribir una pregunta"],
          ["n", "nueva conversación"],
          ["u", "añadir imágenes"],
          ["c", "conversaciones"],
          ["a", "álbumes"],
          ["m", "modelos"],
          ["s", "ajustes"],
          ["?", "estas teclas"],
          ["Esc", "cerrar el diálogo o detener la respuesta"],
        ],
      },
      {
        heading: "En la pregunta",
        keys: [
          ["Intro", "enviar"],
          ["Mayús+Intro", "línea nueva"],
          ["↑", "si está vacía: editar la última pregunta"],
        ],
      },
      {
        heading: "En una pregunta o una respuesta",
        keys: [
          ["[ ]", "versión anterior y siguiente"],
          ["r", "responder de nuevo"],
          ["e", "editar"],
          ["y", "copiar"],
        ],
      },
      {
        heading: "En un álbum",
        keys: [
          ["j k", "imagen siguiente y anterior"],
          ["Intro", "editar el texto"],
          ["Ctrl+Intro", "revisada, y pasar a la siguiente"],
          ["x", "decorativa"],
          ["r", "escribir de nuevo"],
          ["Espacio", "seleccionar"],
        ],
      },
      {
        heading: "En el marco alrededor de una parte de la imagen",
        keys: [
          ["← ↑ → ↓", "moverlo un 1 %, con Mayús un 10 %"],
          ["Alt+← ↑ → ↓", "cambiar su tamaño"],
          ["Intro", "tomarlo"],
        ],
      },
    ],
  },

  inbox: {
    heading: "Imágenes compartidas",
    none: "No hay imágenes compartidas.",
    full: "No había espacio para las imágenes compartidas. Elimine algo en Ajustes, Datos, y compártalas de nuevo.",
    ask: "Preguntar sobre ellas",
    album: "Hacer un álbum con ellas",
    discard: "Descartarlas",
  },
} satisfies SettingWords;
