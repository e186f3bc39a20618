/** Spanish: words of the list of models, of downloads, and of questions that wait for a model. */
import { duration, percent, rough, sizeText } from "../format.js";
import type { ModelWords } from "../types.js";

export const models = {
  held: {
    model: "Se enviará cuando el modelo esté listo.",
    cancel: "Cancelar",
    photograph: "Esto parece una fotografía. El modelo de demostración solo conoce dibujos sencillos.",
    download: (name: string, bytes: number | null, seconds: number | null) => {
      const facts = [bytes === null ? null : sizeText(bytes), seconds === null ? null : `unos ${duration(seconds)}`].filter(Boolean);
      return `Descargar ${name}${facts.length > 0 ? ` (${facts.join(", ")})` : ""} y describirla`;
    },
    use: (name: string) => `Usar ${name} y describirla`,
    host: (host: string) => `Viene de ${host}. Su imagen se queda en este dispositivo.`,
    other: "Elegir otro modelo",
    anyway: "Preguntar de todos modos al modelo de demostración",
    none: "Ningún modelo que vea fotografías cabe en este dispositivo.",
    willAnswer: (name: string) => `${name} la responderá en cuanto esté aquí. Puede cerrar la página y volver.`,
  },

  downloads: {
    label: "Descargas",
    queued: (name: string) => `${name} espera a la descarga anterior.`,
    running: (name: string, loaded: number, total: number, rate: number | null) =>
      total === 0
        ? `${name}: buscando sus archivos …`
        : `${name}: ${percent(loaded / total)} de ${sizeText(total)}${rate ? `, ${sizeText(rate)} por segundo, quedan ${duration((total - loaded) / rate)}` : ""}`,
    paused: (name: string, loaded: number, total: number) =>
      `${name}: en pausa al ${percent(loaded / (total || 1))}. Puede continuar cuando quiera.`,
    failed: (name: string, title: string) => `${name}: ${title}`,
    pause: (name: string) => `Pausar la descarga de ${name}`,
    resume: (name: string) => `Continuar la descarga de ${name}`,
    discard: (name: string) => `Descartar la descarga de ${name}`,
  },

  linked: {
    heading: "¿Cargar un modelo de otro sitio?",
    names: "El enlace que abrió esta página indica un modelo de ",
    unknownSize: "Tamaño desconocido",
    size: (bytes: number) => sizeText(bytes),
    advice:
      "Se descargaría, se guardaría en este navegador y escribiría aquí las respuestas. Sus imágenes y preguntas no se envían a ningún sitio. Cárguelo solo si confía en ese sitio.",
    refuse: "No cargarlo",
    load: "Cargarlo",
  },

  list: "Modelos para elegir",
  demoTitle: "Modelo de demostración",
  demoAbout:
    "Viene con esta página. Diminuto: conoce formas dibujadas, palabras cortas, relojes, gráficos de barras y señales de tráfico, nada más.",
  demoDownload: "No hay nada más que descargar.",
  runsOn: (device: string) => `Los modelos funcionan en ${device}.`,
  test: "Probar este dispositivo",
  room: (free: number) => `Este navegador tiene espacio para ${sizeText(free)}.`,
  memory: "Memoria gráfica",
  memoryUnknown: "No lo sé",
  memoryOf: (gigabytes: number, isMost: boolean) => (isMost ? `${gigabytes} GB o más` : `${gigabytes} GB`),
  memoryHelp:
    "Los navegadores no la indican. En Apple y en GPU integradas es más o menos la mitad de la memoria del equipo. Cuenta a partir de la próxima carga.",
  protected: "Lo que se guarda aquí está protegido contra el borrado.",
  unprotected: "El navegador puede borrar lo que se guarda aquí cuando el disco está lleno.",
  protect: "Pedir al navegador que lo conserve",
  onDevice: "En este dispositivo",
  larger: "Más grande",
  licence: (licence: string) => `Licencia: ${licence}`,
  size: (bytes: number, isEstimate: boolean) => `${isEstimate ? "unos " : ""}${sizeText(bytes)}`,
  download: (size: string | null, seconds: number | null) =>
    `Descarga: ${size ?? "no se sabe antes de empezar"}${seconds === null ? "" : `, listo en ${duration(seconds)}`}`,
  downloaded: "Descarga: ninguna, ya está aquí",
  takes: (size: string) => `Ocupa: ${size} en este dispositivo`,
  needs: (least: string, all: string, isOnProcessor: boolean) => `${isOnProcessor ? "Memoria" : "Memoria gráfica"}: de ${least} a ${all}`,
  speedMeasured: (tokensPerSecond: number) => `Velocidad: ${rough(tokensPerSecond * 0.75)} palabras por segundo (medida aquí)`,
  onProcessor: (tokensPerSecond: number, isSlow: boolean) => {
    const perSecond = tokensPerSecond * 0.75;
    const speed =
      perSecond >= 1.5 ? `unas ${Math.round(perSecond)} palabras` : perSecond >= 0.75 ? "más o menos una palabra" : "menos de una palabra";
    return `Funciona en el procesador: ${speed} por segundo${isSlow ? ", lo cual es lento" : ""}.`;
  },
  fits: (all: number) => `Debería funcionar aquí. Necesita unos ${sizeText(all)} de memoria gráfica.`,
  use: "Usar",
  inUse: "En uso",
  get: (bytes: number | null) => (bytes === null ? "Descargar" : `Descargar ${sizeText(bytes)}`),
  discard: "Descartar",
  of: (act: string, name: string) => `${act}: ${name}`,
  ownHeading: "Su propio modelo",
  ownAbout1: "Un archivo GGUF de Ministral 3, Mistral Small 3.1, Qwen3-VL o Qwen3.5 con el archivo ",
  ownAbout2:
    " que le permite ver, o una carpeta de safetensors de estos o de Llama 3.2 Vision. Los archivos se leen donde están; no se sube nada.",
  address: "Dirección de un archivo GGUF o de una carpeta",
  mmprojAddress: "Dirección de su archivo mmproj, si es un archivo GGUF",
  load: "Cargar desde esta dirección",
  files: "O suelte los archivos en cualquier parte de esta página, o",
  chooseFiles: "Elegir archivos del modelo",
  loadFiles: "Cargar estos archivos",
  fileModel: "Modelo",
  fileVision: "Visión (mmproj)",
  noModel: "todavía falta: el archivo GGUF con el lenguaje",
  noVision: "falta: el modelo no verá imágenes",
  file: (name: string, bytes: number) => `${name}, ${sizeText(bytes)}`,
  storedHeading: "Guardados en este dispositivo",
  entry: (name: string, bytes: number, isComplete: boolean) => `${name}, ${sizeText(bytes)}${isComplete ? "" : ", incompleto"}`,
  takeStored: (name: string) => `Usar ${name}`,
  deleteStored: (name: string) => `Eliminar ${name}`,
  deleteQuestion: (name: string, bytes: number) => `¿Eliminar ${name}? Ocupa ${sizeText(bytes)} y habría que descargarlo de nuevo.`,
  keep: "Conservarlo",
  deleted: (name: string) => `${name} se ha eliminado.`,
  partly: (name: string, loaded: number, total: number) =>
    `${name} está convertido al ${percent(loaded / (total || 1))} (${sizeText(loaded)} de ${sizeText(total)}). `,
  sameFiles: (files: string) => `Para continuar, dé de nuevo los mismos archivos: ${files}.`,
  discardPart: (name: string) => `Descartar lo convertido de ${name}`,
  resumePart: (name: string) => `Continuar la conversión de ${name}`,
} satisfies ModelWords;
