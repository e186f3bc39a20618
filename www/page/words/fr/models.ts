/** French: words of the list of models, of downloads, and of questions that wait for a model. */
import { duration, percent, rough, sizeText } from "../format.js";
import type { ModelWords } from "../types.js";

export const models = {
  held: {
    model: "Sera envoyée dès que le modèle est prêt.",
    cancel: "Annuler",
    photograph: "Cela ressemble à une photo. Le modèle de démonstration ne connaît que des dessins simples.",
    download: (name: string, bytes: number | null, seconds: number | null) => {
      const facts = [bytes === null ? null : sizeText(bytes), seconds === null ? null : `environ ${duration(seconds)}`].filter(Boolean);
      return `Télécharger ${name}${facts.length > 0 ? ` (${facts.join(", ")})` : ""} et la décrire`;
    },
    use: (name: string) => `Utiliser ${name} et la décrire`,
    host: (host: string) => `Il vient de ${host}. Votre image reste sur cet appareil.`,
    other: "Choisir un autre modèle",
    anyway: "Demander quand même au modèle de démonstration",
    none: "Aucun modèle qui voit des photos ne convient à cet appareil.",
    willAnswer: (name: string) => `${name} y répondra dès qu’il sera là. Vous pouvez fermer la page et revenir.`,
  },

  downloads: {
    label: "Téléchargements",
    queued: (name: string) => `${name} attend la fin du téléchargement précédent.`,
    running: (name: string, loaded: number, total: number, rate: number | null) =>
      total === 0
        ? `${name} : recherche de ses fichiers …`
        : `${name} : ${percent(loaded / total)} de ${sizeText(total)}${rate ? `, ${sizeText(rate)} par seconde, encore ${duration((total - loaded) / rate)}` : ""}`,
    paused: (name: string, loaded: number, total: number) =>
      `${name} : en pause à ${percent(loaded / (total || 1))}. Continuez quand vous voulez.`,
    failed: (name: string, title: string) => `${name} : ${title}`,
    pause: (name: string) => `Suspendre le téléchargement de ${name}`,
    resume: (name: string) => `Continuer le téléchargement de ${name}`,
    discard: (name: string) => `Abandonner le téléchargement de ${name}`,
  },

  linked: {
    heading: "Charger un modèle d’un autre site ?",
    names: "Le lien qui a ouvert cette page désigne un modèle de ",
    unknownSize: "Taille inconnue",
    size: (bytes: number) => sizeText(bytes),
    advice:
      "Il serait téléchargé, enregistré dans ce navigateur et écrirait ici les réponses. Vos images et vos questions ne sont envoyées nulle part. Ne le chargez que si vous faites confiance à ce site.",
    refuse: "Ne pas le charger",
    load: "Le charger",
  },

  list: "Modèles au choix",
  demoTitle: "Modèle de démonstration",
  demoAbout:
    "Fourni avec cette page. Minuscule : il connaît des formes dessinées, des mots courts, des horloges, des diagrammes à barres et des panneaux routiers, rien d’autre.",
  demoDownload: "Rien de plus à télécharger.",
  runsOn: (device: string) => `Les modèles s’exécutent sur ${device}.`,
  test: "Tester cet appareil",
  room: (free: number) => `Ce navigateur a de la place pour ${sizeText(free)}.`,
  memory: "Mémoire graphique",
  memoryUnknown: "Je ne sais pas",
  memoryOf: (gigabytes: number, isMost: boolean) => (isMost ? `${gigabytes} Go ou plus` : `${gigabytes} Go`),
  memoryHelp:
    "Les navigateurs ne l’indiquent pas. Sur Apple et les GPU intégrés, c’est environ la moitié de la mémoire de la machine. Elle compte à partir du prochain chargement.",
  protected: "Ce qui est enregistré ici est protégé contre l’effacement.",
  unprotected: "Le navigateur peut effacer ce qui est enregistré ici quand le disque est plein.",
  protect: "Demander au navigateur de le garder",
  onDevice: "Sur cet appareil",
  larger: "Plus grand",
  licence: (licence: string) => `Licence : ${licence}`,
  size: (bytes: number, isEstimate: boolean) => `${isEstimate ? "environ " : ""}${sizeText(bytes)}`,
  download: (size: string | null, seconds: number | null) =>
    `Téléchargement : ${size ?? "inconnu avant le début"}${seconds === null ? "" : `, prêt en ${duration(seconds)}`}`,
  downloaded: "Téléchargement : aucun, il est là",
  takes: (size: string) => `Occupe : ${size} sur cet appareil`,
  needs: (least: string, all: string, isOnProcessor: boolean) => `${isOnProcessor ? "Mémoire" : "Mémoire graphique"} : ${least} à ${all}`,
  speedMeasured: (tokensPerSecond: number) => `Vitesse : ${rough(tokensPerSecond * 0.75)} mots par seconde (mesurée ici)`,
  onProcessor: (tokensPerSecond: number, isSlow: boolean) => {
    const perSecond = tokensPerSecond * 0.75;
    const speed = perSecond >= 1.5 ? `environ ${Math.round(perSecond)} mots` : perSecond >= 0.75 ? "environ un mot" : "moins d’un mot";
    return `S’exécute sur le processeur : ${speed} par seconde${isSlow ? ", ce qui est lent" : ""}.`;
  },
  fits: (all: number) => `Devrait fonctionner ici. Demande environ ${sizeText(all)} de mémoire graphique.`,
  use: "Utiliser",
  inUse: "Utilisé",
  get: (bytes: number | null) => (bytes === null ? "Télécharger" : `Télécharger ${sizeText(bytes)}`),
  discard: "Abandonner",
  of: (act: string, name: string) => `${act} : ${name}`,
  ownHeading: "Votre propre modèle",
  ownAbout1: "Un fichier GGUF de Ministral 3, Mistral Small 3.1, Qwen3-VL ou Qwen3.5 avec le fichier ",
  ownAbout2:
    " qui lui permet de voir, ou un dossier de safetensors de ceux-ci ou de Llama 3.2 Vision. Les fichiers sont lus là où ils sont ; rien n’est envoyé.",
  address: "Adresse d’un fichier GGUF ou d’un dossier",
  mmprojAddress: "Adresse de son fichier mmproj, si c’est un fichier GGUF",
  load: "Charger depuis cette adresse",
  files: "Ou déposez les fichiers n’importe où sur cette page, ou",
  chooseFiles: "Choisir des fichiers de modèle",
  loadFiles: "Charger ces fichiers",
  fileModel: "Modèle",
  fileVision: "Vision (mmproj)",
  noModel: "pas encore donné : le fichier GGUF avec le langage",
  noVision: "pas donné : le modèle ne verra pas d’images",
  file: (name: string, bytes: number) => `${name}, ${sizeText(bytes)}`,
  storedHeading: "Enregistrés sur cet appareil",
  entry: (name: string, bytes: number, isComplete: boolean) => `${name}, ${sizeText(bytes)}${isComplete ? "" : ", incomplet"}`,
  takeStored: (name: string) => `Utiliser ${name}`,
  deleteStored: (name: string) => `Supprimer ${name}`,
  deleteQuestion: (name: string, bytes: number) =>
    `Supprimer ${name} ? Il occupe ${sizeText(bytes)} et il faudrait le télécharger à nouveau.`,
  keep: "Le garder",
  deleted: (name: string) => `${name} est supprimé.`,
  partly: (name: string, loaded: number, total: number) =>
    `${name} est converti à ${percent(loaded / (total || 1))} (${sizeText(loaded)} sur ${sizeText(total)}). `,
  sameFiles: (files: string) => `Pour continuer, donnez à nouveau les mêmes fichiers : ${files}.`,
  discardPart: (name: string) => `Abandonner la partie convertie de ${name}`,
  resumePart: (name: string) => `Continuer la conversion de ${name}`,
} satisfies ModelWords;
