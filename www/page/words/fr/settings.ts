/** French: words of settings, of the list of keys, and of pictures that another program has shared. */
import { count, number, sizeText } from "../format.js";
import type { SettingWords } from "../types.js";

export const settings = {
  heading: "Réglages",
  title: (section: string) => `Réglages\u00a0: ${section}`,
  sections: {
    general: "Général",
    answers: "Réponses",
    server: "Serveur",
    pictures: "Images",
    tasks: "Tâches",
    data: "Données",
    privacy: "Vie privée",
    about: "À propos",
  },

  general: {
    language: "Langue",
    ofBrowser: "Comme le navigateur",
    languageFailed: "Cette langue n’a pas pu être chargée. Vérifiez la connexion au réseau.",
    theme: "Couleurs",
    themes: { system: "Comme le système", light: "Clair", dark: "Sombre" },
    atOnce: "Décrire aussitôt les nouvelles images",
    singleKeys: "Raccourcis d’une seule touche",
    singleKeysHelp: "Désactivez-les s’ils gênent la saisie vocale ou un lecteur d’écran.",
    keys: "Afficher toutes les touches",
    announces: "Ce que les lecteurs d’écran apprennent d’une réponse",
    announceKinds: { sentences: "Chaque phrase", whole: "Le tout, une fois terminée", off: "Rien" },
    screenOn: "Garder l’écran allumé pendant l’écriture d’un album",
  },

  answers: {
    about: "Un champ vide s’en remet au modèle : la valeur recommandée par son éditeur.",
    instruction: "Consigne pour toutes les conversations",
    instructionHelp: "Par exemple « Réponds brièvement, en français. » Le modèle de démonstration ne la comprend pas.",
    own: "Selon le modèle",
    temperature: "Température, 0 à 2",
    top_p: "Top-p, 0 à 1",
    top_k: "Top-k",
    min_p: "Min-p, 0 à 1",
    frequency_penalty: "Pénalité de fréquence, −2 à 2",
    presence_penalty: "Pénalité de présence, −2 à 2",
    seed: "Graine",
    seedHelp: "Avec la même graine, la même question reçoit la même réponse.",
    longest: "Réponse la plus longue",
    longestOf: (tokens: number) => `${number(tokens)} jetons, environ ${number(Math.round(tokens * 0.75))} mots`,
    longestOwn: "1 024 jetons ; 256 avec le modèle de démonstration",
    thinking: "Réflexion avant la réponse",
    thinkings: { off: "Aucune", short: "Courte", medium: "Moyenne", long: "Longue" },
    thinkingNone: "Le modèle actuel ne réfléchit pas avant de répondre.",
    context: "Longueur des conversations",
    contextOf: (tokens: number) => `${number(tokens)} jetons`,
    reloads: "Le modèle est rechargé quand cela change.",
    reset: "Tout réinitialiser",
    wasReset: "Toutes les réponses s’en remettent à nouveau au modèle.",
  },

  server: {
    about:
      "Un serveur peut répondre à la place de cet appareil : « ocelli serve » sur une autre machine, ou tout autre avec l’API d’OpenAI. Vos images, vos questions et la conversation lui sont alors envoyées.",
    served: "Cette page vient d’un serveur, qui répond aussi. Rien n’est envoyé ailleurs.",
    address: "Adresse",
    addressHelp: "Par exemple http://localhost:8080",
    key: "Clé",
    keyHelp: "Elle est oubliée quand vous fermez cet onglet, sauf si vous choisissez de la garder.",
    keepsKey: "Garder la clé dans ce navigateur",
    test: "Tester la connexion",
    testing: "Test en cours …",
    works: "Le serveur répond.",
    use: "Utiliser ce serveur",
    faults: {
      address: {
        title: "Ce n’est pas l’adresse d’un serveur.",
        next: "Elle ressemble à http://localhost:8080 ou https://models.example.org.",
      },
      key: { title: "Cette clé a des caractères qu’aucune clé n’a.", next: "Copiez-la de nouveau, sans espaces." },
      mixed: {
        title: "Une page ouverte en https ne peut pas interroger un serveur en http.",
        next: "Utilisez une adresse en https, ou ouvrez la page du serveur lui-même.",
      },
      unreachable: {
        title: "Ce serveur ne répond pas.",
        next: "Vérifiez qu’il fonctionne, que cet appareil l’atteint et qu’il admet les pages de ce site (CORS ; avec Ocelli : --origin).",
      },
      refused: { title: "Le serveur refuse la clé.", next: "Saisissez-en une autre dans les réglages, sous « Serveur »." },
      notFound: { title: "Le serveur n’a pas cette adresse ou ce modèle.", next: "Vérifiez l’adresse et testez la connexion." },
      busy: { title: "Le serveur est occupé, ou une limite est atteinte.", next: "Attendez un instant et réessayez." },
      stream: {
        title: "Le serveur n’envoie pas les réponses en flux.",
        next: "Cette page a besoin d’événements envoyés par le serveur (SSE) ; un proxy les retient peut-être.",
      },
      cut: { title: "Le serveur a interrompu la réponse.", next: "Réessayez." },
      other: { title: "Le serveur signale une erreur.", next: "Réessayez, ou vérifiez le modèle et les réglages des réponses." },
    },
  },

  pictures: {
    look: "Regard",
    seconds: "Secondes au plus jusqu’au premier mot, avec « Automatique »",
    secondsOf: (seconds: number) => `${number(seconds)} s`,
  },

  tasks: {
    about: "Les tâches sont les boutons au-dessus de la question.",
    own: "Vos propres tâches",
    none: "Vous n’avez pas encore de tâche à vous.",
    builtIn: "Tâches de cette page",
    edit: "Modifier",
    duplicate: "Dupliquer",
    up: "Monter",
    down: "Descendre",
    of: (act: string, name: string) => `${act} : ${name}`,
    copyOf: (name: string) => `${name} (copie)`,
    create: "Nouvelle tâche",
    save: "Tout enregistrer dans un fichier",
    load: "Ajouter depuis un fichier",
    loaded: (tasks: number) => `${count(tasks, "tâche ajoutée", "tâches ajoutées")}.`,
    unreadable: (place: string) => `Ce n’est pas un fichier de tâches : ${place}.`,
    deleted: (name: string) => `« ${name} » est supprimée.`,
  },

  data: {
    keeps: "Conserver les conversations sur cet appareil",
    keepsHelp: "Sinon, chaque nouvelle conversation est temporaire.",
    cache: "Continuer les conversations sans les recalculer",
    cacheHelp: "Ce que le modèle a calculé est gardé dans des fichiers de ce navigateur, au plus 1 Go.",
    stored: "Enregistré sur cet appareil",
    models: "Modèles",
    conversations: "Conversations et leurs images",
    albums: "Albums et copies de leurs images",
    all: "En tout, d’après le navigateur",
    counting: "Calcul …",
    sized: (bytes: number) => (bytes === 0 ? "rien" : sizeText(bytes)),
    export: "Enregistrer toutes les conversations dans un fichier",
    markdown: "Les enregistrer en Markdown",
    import: "Ajouter des conversations depuis un fichier",
    exported: (saved: number) => `${count(saved, "conversation enregistrée", "conversations enregistrées")}.`,
    imported: (added: number, known: number, faulty: number, first: string) => {
      const more = [known > 0 && `${number(known)} déjà là`, faulty > 0 && `${count(faulty, "illisible", "illisibles")} : ${first}`];
      return `${[count(added, "conversation ajoutée", "conversations ajoutées"), ...more].filter(Boolean).join(", ")}.`;
    },
    notReadable: "Ce n’est pas un fichier de conversations.",
    newer: "Ce fichier a été fait par une version plus récente de la page.",
    deleteAll: "Tout supprimer",
    deleteQuestion:
      "Supprimer toutes les conversations, tous les albums, les réglages et les modèles enregistrés de cette page ? C’est irréversible.",
    deleteNow: "Tout supprimer maintenant",
    keep: "Tout garder",
  },

  privacy: {
    promises: [
      "Tant qu’aucun serveur ne répond, les images, les questions et les réponses ne quittent jamais cet appareil. Il n’y a ni compte, ni statistiques, ni rien d’un autre site dans cette page.",
      "La partie de la page qui montre ce que les modèles écrivent ne peut atteindre que ce site. Seules les parties qui récupèrent les modèles et interrogent votre serveur peuvent atteindre d’autres sites, et elles ne montrent rien.",
      "Les conversations et les albums ne sont gardés que dans ce navigateur, jusqu’à ce que vous les supprimiez.",
    ],
    requests: "Requêtes vers d’autres sites depuis l’ouverture de cette page",
    none: "Aucune.",
    request: (time: string, address: string) => `${time} : ${address}`,
    notSeen: "Elles ne peuvent être listées qu’une fois que la page fonctionne hors ligne, dès la deuxième visite.",
  },

  about: {
    version: (version: string) => `Ocelli ${version}`,
    what: "Des modèles vision-langage dans le navigateur, sur votre propre appareil.",
    licences: "Licences des bibliothèques de la page",
    engineLicences: "Licences des bibliothèques du moteur",
    report: "Copier un rapport sur cet appareil",
    copied: "Le rapport est copié.",
    notCopied: "Le navigateur n’autorise pas la copie.",
  },

  keys: {
    heading: "Touches",
    off: "Les raccourcis d’une seule touche sont désactivés dans les réglages.",
    groups: [
      {
        heading: "Partout",
        keys: [
          ["/", "écrire une question"],
          ["n", "nouvelle conversation"],
          ["u", "ajouter des images"],
          ["c", "conversations"],
          ["a", "albums"],
          ["m", "modèles"],
          ["s", "réglages"],
          ["?", "ces touches"],
          ["Échap", "fermer la fenêtre, ou arrêter la réponse"],
        ],
      },
      {
        heading: "Dans la question",
        keys: [
          ["Entrée", "envoyer"],
          ["Maj+Entrée", "nouvelle ligne"],
          ["↑", "si elle est vide : modifier la dernière question"],
        ],
      },
      {
        heading: "Dans une question ou une réponse",
        keys: [
          ["[ ]", "version précédente et suivante"],
          ["r", "répondre à nouveau"],
          ["e", "modifier"],
          ["y", "copier"],
        ],
      },
      {
        heading: "Dans un album",
        keys: [
          ["j k", "image suivante et précédente"],
          ["Entrée", "modifier le texte"],
          ["Ctrl+Entrée", "relue, et passer à la suivante"],
          ["x", "décorative"],
          ["r", "écrire à nouveau"],
          ["Espace", "sélectionner"],
        ],
      },
      {
        heading: "Dans le cadre autour d’une partie d’image",
        keys: [
          ["← ↑ → ↓", "le déplacer de 1 %, avec Maj de 10 %"],
          ["Alt+← ↑ → ↓", "changer sa taille"],
          ["Entrée", "le valider"],
        ],
      },
    ],
  },

  inbox: {
    heading: "Images partagées",
    none: "Il n’y a pas d’images partagées.",
    full: "Il n’y avait pas de place pour les images partagées. Supprimez quelque chose sous Réglages, Données, et partagez-les à nouveau.",
    ask: "Poser une question à leur sujet",
    album: "En faire un album",
    discard: "Les abandonner",
  },
} satisfies SettingWords;
