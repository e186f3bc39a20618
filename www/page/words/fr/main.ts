/** French: the words of the first view. */
import { altInstruction } from "../../../src/img-alt/instruction.js";
import { count, duration, number, percent, rough, sizeText } from "../format.js";
import type { Words } from "../types.js";

const tokens = (value: number) => count(value, "jeton", "jetons");

export const main = {
  title: "Ocelli : des questions sur vos images, sur votre propre appareil",
  name: "Ocelli",
  about: "Posez des questions sur vos images. Tout se passe sur cet appareil.",
  skip: "Aller à la question",
  close: "Fermer",
  more: "Plus",
  delete: "Supprimer",
  undo: "Annuler",

  loading: {
    starting: "Démarrage …",
    cancel: "Annuler",
    manifest: "Recherche du modèle …",
    preparing: "Préparation pour cet appareil …",
    ready: "Le modèle est prêt.",
    import: "Lecture et conversion du modèle",
    stored: "Lecture du modèle enregistré",
    downloading: "Téléchargement du modèle",
    bytes: (stage: string, loaded: number, total: number, rate: number | null) =>
      `${stage} : ${sizeText(loaded)} sur ${sizeText(total)}${rate ? `, ${sizeText(rate)} par seconde, encore ${duration((total - loaded) / rate)}` : ""}`,
    kernels: (loaded: number, total: number) => ` · Préparation pour cet appareil : ${percent(loaded / (total || 1))}`,
    quarter: (part: number) => `Modèle chargé à ${part} pour cent`,
    repaired: (file: string) => `Une partie enregistrée du modèle était endommagée et a été récupérée à nouveau : ${file}.`,
    cancelled: "Annulé. La partie convertie est conservée, et la conversion peut reprendre.",
  },

  device: {
    emulated: (name: string) => `un GPU que le processeur émule${name ? ` (${name})` : ""}`,
    unnamed: "votre GPU",
    processor: (threads: number | undefined) =>
      `le processeur de cet ordinateur${threads === undefined ? "" : threads === 1 ? ", sur un fil" : `, sur ${threads} fils`}`,
    because: (device: string, reason: string) => `${device} (${reason})`,
    running: (device: string) => `Calcul sur ${device}.`,
  },

  conversations: {
    label: "Conversations",
    open: "Conversations",
    begin: "Nouvelle conversation",
    begun: "Nouvelle conversation.",
    temporary: "Temporaire",
    temporaryHelp: "Cette conversation n’est pas conservée.",
    untitled: "Nouvelle conversation",
    pinned: "Épinglées",
    today: "Aujourd’hui",
    yesterday: "Hier",
    earlier: "Plus tôt",
    none: "Les conversations sont conservées ici, sur cet appareil.",
    search: "Rechercher dans les conversations",
    found: (found: number) => (found === 0 ? "Rien n’a été trouvé." : `${count(found, "conversation trouvée", "conversations trouvées")}.`),
    more: "Afficher plus",
    menu: (title: string) => `Plus : ${title}`,
    rename: "Renommer",
    newName: "Nouveau nom",
    save: "Enregistrer",
    pin: "Épingler",
    unpin: "Désépingler",
    deleted: (title: string) => `« ${title} » est supprimée.`,
    removed: "Le message est supprimé.",
    gone: "Cette conversation n’existe plus.",
  },

  empty: {
    heading: "Qu’y a-t-il sur votre image ?",
    answers: "Déposez une image, collez-en une ou choisissez-en une ci-dessous. Puis posez votre question.",
    demo: "Le modèle de démonstration ne connaît que des dessins simples. Pour des photos, prenez un modèle plus grand.",
    seeModels: "Voir les modèles",
    examples: "Essayer un exemple",
    scene: "Image d’exemple",
  },

  question: {
    label: "Votre question",
    send: "Envoyer",
    stop: "Arrêter",
    drop: "Déposez ou collez des images, ou",
    choose: "Choisir des images",
    atOnce: "Les décrire aussitôt",
    look: "Regard",
    looks: { low: "Coup d’œil", auto: "Automatique", high: "Chaque détail" },
    seconds: (look: string, seconds: number) => `${look} (environ ${duration(seconds)})`,
    heic: "Ce navigateur ne sait pas lire les images HEIC. Enregistrez l’image en JPEG, ou partagez-la en JPEG depuis l’application Photos.",
    camera: "Appareil photo",
    screenshot: "Capture d’écran",
    screenshotName: "capture d’écran",
    openPicture: (name: string) => `Ouvrir ${name}`,
    pictures: "Images de la prochaine question",
    remove: (name: string) => `Retirer ${name}`,
    suggestions: "Questions proposées",
    editing: "Vous modifiez une question précédente.",
    cancelEdit: "La laisser telle quelle",
    enter: " envoie, ",
    shiftEnter: " commence une ligne, ",
    escape: " arrête.",
  },

  tasks: {
    all: {
      describe: {
        name: "Décrire",
        instruction:
          "Décris cette image en français en deux à quatre phrases : ce qu’elle montre, où, et ce qui est inhabituel. Puis tous les mots qu’elle contient, tels quels.",
      },
      alt: { name: "Texte alternatif", instruction: altInstruction({ language: "French" }) },
      caption: { name: "Légende", instruction: "Écris en français une légende pour cette image : une phrase, au plus 15 mots." },
      read: {
        name: "Lire le texte",
        instruction:
          "Écris tout le texte de cette image, ligne par ligne, exactement tel quel, dans l’ordre de lecture. N’écris rien d’autre. S’il n’y en a pas, écris : (pas de texte)",
      },
      fields: {
        name: "Remplir des champs …",
        instruction: "Remplis les champs d’après l’image. Là où elle ne dit rien, utilise null.",
      },
      rules: { name: "Vérifier des règles …", instruction: "Juge l’image d’après ces règles et aucune autre. Règles :" },
      find: { name: "Trouver …", instruction: "" },
    },
    label: "Tâches",
    own: "Nouvelle tâche …",
    changeFields: "Modifier les champs",
    chosen: (name: string) => `${name.replace(" …", "")} : ce sera fait avec la prochaine image.`,
    cancel: "Annuler",
  },

  answer: {
    you: "Vous",
    name: "Ocelli",
    topic: "Nouvelles images : réponse sans tenir compte de ce qui précède",
    begins: "La réponse commence",
    complete: "Réponse terminée",
    stopped: "Arrêté.",
    thinking: "Réflexion …",
    waiting: "En attente du modèle …",
    picture: (picture: number, of: number, width: number, height: number) =>
      of > 1 ? `Examen de l’image ${picture} sur ${of}, ${width} × ${height} …` : `Examen de l’image, ${width} × ${height} …`,
    reading: "Lecture de la question …",
    recovering: "Le périphérique graphique a été réinitialisé ; la réponse reprend dans un instant …",
    thoughts: "Réflexions",
    cut: "La réponse a atteint la longueur maximale réglée.",
    interrupted: "Interrompue à la fermeture de la page.",
    failed: "Il n’y a pas de réponse à cette question.",
    retry: "Réessayer",
    truncated: (turns: number) =>
      `${turns === 1 ? "La question la plus ancienne a été laissée" : `Les ${number(turns)} questions les plus anciennes ont été laissées`} de côté : la conversation est plus longue que ce que le modèle peut contenir.`,
    pictureGone: (name: string) => `${name} n’est plus là.`,
    copy: "Copier",
    copied: "Copié",
    copyAnswer: "Copier la réponse",
    again: "Répondre à nouveau",
    continue: "Continuer",
    edit: "Modifier",
    delete: "Supprimer",
    version: (at: number, of: number) => `${at} sur ${of}`,
    earlier: "Version précédente",
    later: "Version suivante",
    fromHere: (model: string) => `À partir d’ici : ${model}`,
    details: "Détails",
    model: (name: string) => `Modèle : ${name}`,
    prompt: (of: number, cached: number) => `Question : ${tokens(of)}${cached > 0 ? `, dont ${number(cached)} déjà connus` : ""}`,
    length: (of: number) => `Réponse : ${tokens(of)}`,
    speed: (firstMs: number, perSecond: number) =>
      `Premier mot après ${rough(firstMs / 1000)} s, puis ${rough(perSecond * 0.75)} mots (${rough(perSecond)} jetons) par seconde`,
    shown: (width: number, height: number, of: number) => `Image : ${width} × ${height}, ${tokens(of)}`,
    seed: (seed: number) => `Graine : ${seed}`,
  },

  models: {
    demo: "modèle de démonstration",
    own: "votre modèle",
    heading: "Modèle : ",
    change: "Changer",
    resume: "Continuer",
    pause: "Pause",
    loading: "Ouverture des modèles …",
  },

  settings: {
    link: "Réglages",
    loading: "Ouverture des réglages …",
    keys: "Touches",
  },

  server: {
    sentTo: (address: string) => `Les images et les questions sont envoyées à ${address}`,
    leave: "Répondre sur cet appareil",
  },

  albums: {
    link: "Albums",
    loading: "Ouverture des albums …",
    label: "Albums en cours",
    begun: (title: string, done: number, of: number) => `${title} : ${percent(done / (of || 1))} terminé.`,
    states: {
      begun: "",
      running: "",
      held: "Reprend quand votre réponse est terminée.",
      model: "En attente d’un modèle.",
      folder: "Son dossier doit être rouvert.",
      elsewhere: "Un autre onglet l’écrit.",
      failed: "Il s’est arrêté.",
    },
    pause: "Pause",
    resume: "Continuer",
    of: (act: string, title: string) => `${act} : ${title}`,
    tabTitle: (done: number, of: number, title: string) => `(${percent(done / (of || 1))}) ${title} – Ocelli`,
  },

  downloaded: (name: string) => `${name} est maintenant sur cet appareil.`,

  store: {
    full: "Il n’y a pas assez de place pour tout conserver : ce qui est nouveau disparaît à la fermeture de cette fenêtre.",
    none: "Cette fenêtre ne conserve rien : tout disparaît à sa fermeture.",
    newer:
      "Ce qui est conservé ici a été écrit par une version plus récente de cette page et reste tel quel. Cette visite n’est pas conservée.",
    outdated: "Cette page a été mise à jour dans un autre onglet. Rechargez-la pour que les nouveautés soient conservées.",
    reload: "Recharger",
  },

  footer: {
    offline: "Fonctionne désormais hors ligne.",
    update: "Une nouvelle version de cette page est prête.",
    reload: "Recharger",
  },

  problems: {
    details: "Détails",
    of: (subject: string, title: string) => (subject ? `${subject} : ${title}` : title),
    other: { title: "Quelque chose a mal tourné dans cette page.", next: "Réessayez, ou rechargez la page." },
    codes: {
      "webgpu-unavailable": {
        title: "Ce navigateur n’offre au modèle ni WebGPU ni le processeur.",
        next: "Utilisez une version récente de Chrome, Edge, Firefox ou Safari, et ouvrez la page en https ou depuis localhost.",
      },
      "limits-too-small": {
        title: "Ce modèle est trop grand pour cet appareil.",
        next: "Choisissez-en un plus petit, ou fermez les autres pages qui utilisent le GPU.",
      },
      "budget-too-small": {
        title: "Ce modèle est trop grand pour cet appareil.",
        next: "Choisissez-en un plus petit, ou vérifiez la mémoire graphique indiquée sous « Modèle ».",
      },
      "out-of-memory": {
        title: "La mémoire graphique est pleine.",
        next: "Fermez les autres onglets qui l’utilisent, ou choisissez un modèle plus petit, puis réessayez.",
      },
      "device-lost": {
        title: "Le pilote graphique a été réinitialisé plusieurs fois.",
        next: "Ce qui est écrit est conservé. Réessayez.",
      },
      "self-test-failed": {
        title: "Cet appareil calcule mal : on ne pourrait pas se fier à ses réponses.",
        next: "Mettez à jour le pilote graphique ou utilisez un autre navigateur.",
      },
      "invalid-image": {
        title: "Ce n’est pas une image que cette page sait lire.",
        next: "Les fichiers PNG, JPEG et WebP fonctionnent toujours.",
      },
      "image-too-large": {
        title: "Cette image est trop grande pour être ouverte sans risque.",
        next: "Réduisez-la, puis réessayez.",
      },
      "context-overflow": {
        title: "Les images et la question sont plus longues que ce que le modèle peut contenir.",
        next: "Prenez moins d’images, ou commencez une nouvelle conversation.",
      },
      integrity: {
        title: "Une partie du modèle est arrivée endommagée, deux fois.",
        next: "La copie du serveur est peut-être défectueuse. Rechargez la page pour réessayer.",
      },
      io: {
        title: "Le modèle n’a pas pu être téléchargé.",
        next: "Ce qui est arrivé est conservé. Vérifiez la connexion au réseau et réessayez.",
      },
      "invalid-checkpoint": {
        title: "Ce ne sont pas les fichiers d’un modèle que cette page sait lire.",
        next: "Vérifiez les adresses ou les fichiers : un fichier GGUF de Ministral 3, Mistral Small 3.1, Qwen3.5 ou Qwen3-VL, avec son propre fichier mmproj.",
      },
      "unsupported-architecture": {
        title: "Ce modèle est d’une famille qu’Ocelli n’exécute pas.",
        next: "Choisissez un modèle Ministral 3, Mistral Small 3.1, Qwen3.5 ou Qwen3-VL.",
      },
      "storage-full": {
        title: "Il n’y a pas de place pour conserver le modèle.",
        next: "Supprimez un modèle enregistré ou libérez de l’espace disque, puis continuez.",
      },
      "storage-unavailable": {
        title: "Cette fenêtre ne peut pas enregistrer de fichiers.",
        next: "Ouvrez la page dans une fenêtre ordinaire, ou utilisez le modèle depuis la mémoire.",
      },
      "invalid-package": {
        title: "Les fichiers du modèle ne vont pas ensemble.",
        next: "Vérifiez l’adresse après ?model=, ou rechargez la page.",
      },
      tokenizer: { title: "Les fichiers du modèle ne vont pas ensemble.", next: "Choisissez un autre fichier de ce modèle." },
      "unsupported-schema": { title: "Le modèle ne peut pas être tenu à ce format.", next: "Changez le format." },
      "invalid-grammar": { title: "Le modèle ne peut pas être tenu à ce format.", next: "Changez le format." },
      "protocol-mismatch": { title: "Cette page a été mise à jour dans un autre onglet.", next: "Rechargez-la." },
    },
  },
} satisfies Words;
