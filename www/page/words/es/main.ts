/** Spanish: the words of the first view. */
import { altInstruction } from "../../../src/img-alt/instruction.js";
import { count, duration, number, percent, rough, sizeText } from "../format.js";
import type { Words } from "../types.js";

const tokens = (value: number) => count(value, "token", "tokens");

export const main = {
  title: "Ocelli: preguntas sobre sus imágenes, en su propio dispositivo",
  name: "Ocelli",
  about: "Pregunte sobre sus imágenes. Todo ocurre en este dispositivo.",
  skip: "Ir a la pregunta",
  close: "Cerrar",
  more: "Más",
  delete: "Eliminar",
  undo: "Deshacer",

  loading: {
    starting: "Iniciando …",
    cancel: "Cancelar",
    manifest: "Buscando el modelo …",
    preparing: "Preparando para este dispositivo …",
    ready: "El modelo está listo.",
    import: "Leyendo y convirtiendo el modelo",
    stored: "Leyendo el modelo guardado",
    downloading: "Descargando el modelo",
    bytes: (stage: string, loaded: number, total: number, rate: number | null) =>
      `${stage}: ${sizeText(loaded)} de ${sizeText(total)}${rate ? `, ${sizeText(rate)} por segundo, quedan ${duration((total - loaded) / rate)}` : ""}`,
    kernels: (loaded: number, total: number) => ` · Preparando para este dispositivo: ${percent(loaded / (total || 1))}`,
    quarter: (part: number) => `Modelo cargado al ${part} por ciento`,
    repaired: (file: string) => `Una parte guardada del modelo estaba dañada y se ha vuelto a descargar: ${file}.`,
    cancelled: "Cancelado. La parte convertida se conserva y la conversión puede continuar.",
  },

  device: {
    emulated: (name: string) => `una GPU que el procesador emula${name ? ` (${name})` : ""}`,
    unnamed: "su GPU",
    processor: (threads: number | undefined) =>
      `el procesador de este equipo${threads === undefined ? "" : threads === 1 ? ", con un hilo" : `, con ${threads} hilos`}`,
    because: (device: string, reason: string) => `${device} (${reason})`,
    running: (device: string) => `Funciona en ${device}.`,
  },

  conversations: {
    label: "Conversaciones",
    open: "Conversaciones",
    begin: "Nueva conversación",
    begun: "Nueva conversación.",
    temporary: "Temporal",
    temporaryHelp: "Esta conversación no se conserva.",
    untitled: "Nueva conversación",
    pinned: "Fijadas",
    today: "Hoy",
    yesterday: "Ayer",
    earlier: "Antes",
    none: "Las conversaciones se conservan aquí, en este dispositivo.",
    search: "Buscar en las conversaciones",
    found: (found: number) =>
      found === 0 ? "No se encontró nada." : `${count(found, "conversación encontrada", "conversaciones encontradas")}.`,
    more: "Mostrar más",
    menu: (title: string) => `Más: ${title}`,
    rename: "Cambiar el nombre",
    newName: "Nombre nuevo",
    save: "Guardar",
    pin: "Fijar",
    unpin: "Dejar de fijar",
    deleted: (title: string) => `«${title}» se ha eliminado.`,
    removed: "El mensaje se ha eliminado.",
    gone: "Esta conversación ya no existe.",
  },

  empty: {
    heading: "¿Qué hay en su imagen?",
    answers: "Suelte una imagen, péguela o elija una abajo. Después pregunte.",
    demo: "El modelo de demostración solo conoce dibujos sencillos. Para fotografías, use un modelo más grande.",
    seeModels: "Ver modelos",
    examples: "Probar un ejemplo",
    scene: "Imagen de ejemplo",
  },

  question: {
    label: "Su pregunta",
    send: "Enviar",
    stop: "Detener",
    drop: "Suelte o pegue imágenes, o",
    choose: "Elegir imágenes",
    atOnce: "Describirlas enseguida",
    look: "Mirada",
    looks: { low: "Vistazo rápido", auto: "Automática", high: "Cada detalle" },
    seconds: (look: string, seconds: number) => `${look} (unos ${duration(seconds)})`,
    heic: "Este navegador no puede leer imágenes HEIC. Guárdela como JPEG o compártala como JPEG desde la aplicación de fotos.",
    camera: "Cámara",
    screenshot: "Captura de pantalla",
    screenshotName: "captura de pantalla",
    openPicture: (name: string) => `Abrir ${name}`,
    pictures: "Imágenes de la próxima pregunta",
    remove: (name: string) => `Quitar ${name}`,
    suggestions: "Preguntas sugeridas",
    editing: "Está cambiando una pregunta anterior.",
    cancelEdit: "Dejarla como estaba",
    enter: " envía, ",
    shiftEnter: " empieza una línea, ",
    escape: " detiene.",
  },

  tasks: {
    all: {
      describe: {
        name: "Describir",
        instruction:
          "Describe esta imagen en español en dos a cuatro frases: qué muestra, dónde y qué tiene de inusual. Después, todas las palabras que contiene, tal como están.",
      },
      alt: { name: "Texto alternativo", instruction: altInstruction({ language: "Spanish" }) },
      caption: {
        name: "Pie de foto",
        instruction: "Escribe en español un pie de foto para esta imagen: una frase, como máximo 15 palabras.",
      },
      read: {
        name: "Leer el texto",
        instruction:
          "Escribe todo el texto de esta imagen, línea por línea, exactamente como está, en el orden de lectura. No escribas nada más. Si no hay, escribe: (sin texto)",
      },
      fields: {
        name: "Rellenar campos …",
        instruction: "Rellena los campos a partir de la imagen. Donde no lo diga, usa null.",
      },
      rules: { name: "Comprobar reglas …", instruction: "Juzga la imagen según estas reglas y ninguna otra. Reglas:" },
      find: { name: "Encontrar …", instruction: "" },
    },
    label: "Tareas",
    own: "Nueva tarea …",
    changeFields: "Cambiar los campos",
    chosen: (name: string) => `${name.replace(" …", "")}: se hará con la próxima imagen.`,
    cancel: "Cancelar",
  },

  answer: {
    you: "Usted",
    name: "Ocelli",
    topic: "Imágenes nuevas: respuesta sin tener en cuenta lo anterior",
    begins: "Empieza la respuesta",
    complete: "Respuesta completa",
    stopped: "Detenido.",
    thinking: "Pensando …",
    waiting: "Esperando al modelo …",
    picture: (picture: number, of: number, width: number, height: number) =>
      of > 1 ? `Mirando la imagen ${picture} de ${of}, ${width} × ${height} …` : `Mirando la imagen, ${width} × ${height} …`,
    reading: "Leyendo la pregunta …",
    recovering: "El dispositivo gráfico se ha reiniciado; la respuesta continúa en un momento …",
    thoughts: "Pensamientos",
    cut: "La respuesta alcanzó la longitud máxima configurada.",
    interrupted: "Interrumpida al cerrarse la página.",
    failed: "No hay respuesta a esta pregunta.",
    retry: "Reintentar",
    truncated: (turns: number) =>
      `${turns === 1 ? "Se omitió la pregunta más antigua" : `Se omitieron las ${number(turns)} preguntas más antiguas`}: la conversación es más larga de lo que el modelo puede abarcar.`,
    pictureGone: (name: string) => `${name} ya no está.`,
    copy: "Copiar",
    copied: "Copiado",
    copyAnswer: "Copiar la respuesta",
    again: "Responder de nuevo",
    continue: "Continuar",
    edit: "Editar",
    delete: "Eliminar",
    version: (at: number, of: number) => `${at} de ${of}`,
    earlier: "Versión anterior",
    later: "Versión siguiente",
    fromHere: (model: string) => `Desde aquí: ${model}`,
    details: "Detalles",
    model: (name: string) => `Modelo: ${name}`,
    prompt: (of: number, cached: number) => `Pregunta: ${tokens(of)}${cached > 0 ? `, de ellos ${number(cached)} ya conocidos` : ""}`,
    length: (of: number) => `Respuesta: ${tokens(of)}`,
    speed: (firstMs: number, perSecond: number) =>
      `Primera palabra a los ${rough(firstMs / 1000)} s, después ${rough(perSecond * 0.75)} palabras (${rough(perSecond)} tokens) por segundo`,
    shown: (width: number, height: number, of: number) => `Imagen: ${width} × ${height}, ${tokens(of)}`,
    seed: (seed: number) => `Semilla: ${seed}`,
  },

  models: {
    demo: "modelo de demostración",
    own: "su modelo",
    heading: "Modelo: ",
    change: "Cambiar",
    resume: "Continuar",
    pause: "Pausa",
    loading: "Abriendo los modelos …",
  },

  settings: {
    link: "Ajustes",
    loading: "Abriendo los ajustes …",
    keys: "Teclas",
  },

  server: {
    sentTo: (address: string) => `Las imágenes y preguntas se envían a ${address}`,
    leave: "Responder en este dispositivo",
  },

  albums: {
    link: "Álbumes",
    loading: "Abriendo los álbumes …",
    label: "Álbumes en curso",
    begun: (title: string, done: number, of: number) => `${title}: ${percent(done / (of || 1))} hecho.`,
    states: {
      begun: "",
      running: "",
      held: "Continúa cuando termine su respuesta.",
      model: "Esperando un modelo.",
      folder: "Hay que volver a abrir su carpeta.",
      elsewhere: "Otra pestaña lo está escribiendo.",
      failed: "Se ha detenido.",
    },
    pause: "Pausa",
    resume: "Continuar",
    of: (act: string, title: string) => `${act}: ${title}`,
    tabTitle: (done: number, of: number, title: string) => `(${percent(done / (of || 1))}) ${title} – Ocelli`,
  },

  downloaded: (name: string) => `${name} ya está en este dispositivo.`,

  store: {
    full: "No hay espacio para conservarlo todo: lo nuevo se pierde al cerrar esta ventana.",
    none: "Esta ventana no conserva nada: todo se pierde al cerrarla.",
    newer: "Lo que se conserva aquí lo escribió una versión más nueva de esta página y queda como está. Esta visita no se conserva.",
    outdated: "Esta página se actualizó en otra pestaña. Vuelva a cargarla para que se conserve lo nuevo.",
    reload: "Volver a cargar",
  },

  footer: {
    offline: "A partir de ahora funciona sin conexión.",
    update: "Hay una versión nueva de esta página.",
    reload: "Volver a cargar",
  },

  problems: {
    details: "Detalles",
    of: (subject: string, title: string) => (subject ? `${subject}: ${title}` : title),
    other: { title: "Algo falló en esta página.", next: "Inténtelo de nuevo o vuelva a cargar la página." },
    codes: {
      "webgpu-unavailable": {
        title: "Este navegador no ofrece al modelo ni WebGPU ni el procesador.",
        next: "Use una versión actual de Chrome, Edge, Firefox o Safari, y abra la página por https o desde localhost.",
      },
      "limits-too-small": {
        title: "Este modelo es demasiado grande para este dispositivo.",
        next: "Elija uno más pequeño o cierre otras páginas que usen la GPU.",
      },
      "budget-too-small": {
        title: "Este modelo es demasiado grande para este dispositivo.",
        next: "Elija uno más pequeño o revise la memoria gráfica indicada en «Modelo».",
      },
      "out-of-memory": {
        title: "La memoria gráfica está llena.",
        next: "Cierre otras pestañas que la usen o elija un modelo más pequeño, e inténtelo de nuevo.",
      },
      "device-lost": {
        title: "El controlador gráfico se reinició varias veces.",
        next: "Lo escrito se conserva. Inténtelo de nuevo.",
      },
      "self-test-failed": {
        title: "Este dispositivo calcula mal, así que no se podría confiar en sus respuestas.",
        next: "Actualice el controlador gráfico o use otro navegador.",
      },
      "invalid-image": {
        title: "Esa no es una imagen que esta página pueda leer.",
        next: "Los archivos PNG, JPEG y WebP siempre funcionan.",
      },
      "image-too-large": {
        title: "Esa imagen es demasiado grande para abrirla con seguridad.",
        next: "Redúzcala e inténtelo de nuevo.",
      },
      "context-overflow": {
        title: "Las imágenes y la pregunta son más largas de lo que el modelo puede abarcar.",
        next: "Use menos imágenes o empiece una conversación nueva.",
      },
      integrity: {
        title: "Una parte del modelo llegó dañada dos veces.",
        next: "Quizá la copia del servidor esté dañada. Vuelva a cargar la página para intentarlo de nuevo.",
      },
      io: {
        title: "No se pudo descargar el modelo.",
        next: "Lo que ya está aquí se conserva. Revise la conexión de red e inténtelo de nuevo.",
      },
      "invalid-checkpoint": {
        title: "Estos no son los archivos de un modelo que esta página pueda leer.",
        next: "Revise las direcciones o los archivos: un archivo GGUF de Ministral 3, Mistral Small 3.1, Qwen3.5 o Qwen3-VL, con su propio archivo mmproj.",
      },
      "unsupported-architecture": {
        title: "Este modelo es de una familia que Ocelli no ejecuta.",
        next: "Elija un modelo Ministral 3, Mistral Small 3.1, Qwen3.5 o Qwen3-VL.",
      },
      "storage-full": {
        title: "No hay espacio para conservar el modelo.",
        next: "Elimine un modelo guardado o libere espacio en el disco, y después continúe.",
      },
      "storage-unavailable": {
        title: "Esta ventana no puede guardar archivos.",
        next: "Abra la página en una ventana normal o use el modelo desde la memoria.",
      },
      "invalid-package": {
        title: "Los archivos del modelo no encajan entre sí.",
        next: "Revise la dirección después de ?model= o vuelva a cargar la página.",
      },
      tokenizer: { title: "Los archivos del modelo no encajan entre sí.", next: "Elija otro archivo de este modelo." },
      "unsupported-schema": { title: "El modelo no puede atenerse a este formato.", next: "Cambie el formato." },
      "invalid-grammar": { title: "El modelo no puede atenerse a este formato.", next: "Cambie el formato." },
      "protocol-mismatch": { title: "Esta página se actualizó en otra pestaña.", next: "Vuelva a cargarla." },
    },
  },
} satisfies Words;
