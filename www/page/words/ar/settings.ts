/** Arabic: words of settings, of the list of keys, and of pictures that another program has shared. */
import { number, sizeText } from "../format.js";
import type { SettingWords } from "../types.js";
import { CONVERSATIONS, counted, type Forms } from "./plural.js";

const TASKS: Forms = { one: "مهمة واحدة", two: "مهمتان", few: "مهام", other: "مهمة" };
const conversations = (value: number) => counted(value, CONVERSATIONS);

export const settings = {
  heading: "الإعدادات",
  title: (section: string) => `الإعدادات: ${section}`,
  sections: {
    general: "عام",
    answers: "الإجابات",
    server: "الخادم",
    pictures: "الصور",
    tasks: "المهام",
    data: "البيانات",
    privacy: "الخصوصية",
    about: "حول",
  },

  general: {
    language: "اللغة",
    ofBrowser: "مثل المتصفح",
    languageFailed: "تعذّر تحميل هذه اللغة. تحقق من الاتصال بالشبكة.",
    theme: "الألوان",
    themes: { system: "مثل النظام", light: "فاتحة", dark: "داكنة" },
    atOnce: "وصف الصور الجديدة فورًا",
    singleKeys: "مفاتيح مفردة كاختصارات",
    singleKeysHelp: "أوقفها إن كانت تعيق الإدخال الصوتي أو قارئ الشاشة.",
    keys: "عرض كل المفاتيح",
    announces: "ما يُبلَّغ به قارئ الشاشة من الإجابة",
    announceKinds: { sentences: "كل جملة", whole: "الإجابة كلها عند اكتمالها", off: "لا شيء" },
    screenOn: "إبقاء الشاشة مضاءة أثناء كتابة ألبوم",
  },

  answers: {
    about: "الحقل الفارغ متروك للنموذج: القيمة التي يوصي بها ناشره.",
    instruction: "تعليمات لكل المحادثات",
    instructionHelp: "مثلًا «أجب بإيجاز وبالعربية». النموذج التجريبي لا يفهمها.",
    own: "حسب النموذج",
    temperature: "درجة الحرارة، من 0 إلى 2",
    top_p: "Top-p، من 0 إلى 1",
    top_k: "Top-k",
    min_p: "Min-p، من 0 إلى 1",
    frequency_penalty: "عقوبة التكرار، من −2 إلى 2",
    presence_penalty: "عقوبة الحضور، من −2 إلى 2",
    seed: "البذرة",
    seedHelp: "مع البذرة نفسها يحصل السؤال نفسه على الإجابة نفسها.",
    longest: "أطول إجابة",
    longestOf: (tokens: number) => `${number(tokens)} رمز، نحو ${number(Math.round(tokens * 0.75))} كلمة`,
    longestOwn: "1,024 رمزًا؛ و256 مع النموذج التجريبي",
    thinking: "التفكير قبل الإجابة",
    thinkings: { off: "متوقف", short: "قصير", medium: "متوسط", long: "طويل" },
    thinkingNone: "النموذج الحالي لا يفكر قبل أن يجيب.",
    context: "طول المحادثات",
    contextOf: (tokens: number) => `${number(tokens)} رمز`,
    reloads: "يُحمَّل النموذج من جديد عند تغيير هذا.",
    reset: "إعادة ضبط الكل",
    wasReset: "عادت كل الإجابات إلى إعدادات النموذج.",
  },

  server: {
    about:
      "يمكن أن يجيب خادم بدلًا من هذا الجهاز: «ocelli serve» على جهاز آخر، أو أي خادم آخر بواجهة OpenAI. عندها تُرسل إليه صورك وأسئلتك والمحادثة.",
    served: "تأتي هذه الصفحة من خادم، وهو الذي يجيب أيضًا. لا يُرسل شيء إلى مكان آخر.",
    address: "العنوان",
    addressHelp: "مثلًا http://localhost:8080",
    key: "المفتاح",
    keyHelp: "يُنسى عند إغلاق علامة التبويب هذه، إلا إذا اخترت حفظه.",
    keepsKey: "حفظ المفتاح في هذا المتصفح",
    test: "اختبار الاتصال",
    testing: "يجري الاختبار …",
    works: "الخادم يجيب.",
    use: "استخدام هذا الخادم",
    faults: {
      address: { title: "هذا ليس عنوان خادم.", next: "يشبه العنوان http://localhost:8080 أو https://models.example.org." },
      key: { title: "في هذا المفتاح رموز لا توجد في أي مفتاح.", next: "انسخه مرة أخرى بلا مسافات." },
      mixed: {
        title: "لا يجوز لصفحة فُتحت عبر https أن تسأل خادمًا عبر http.",
        next: "استخدم عنوانًا يبدأ بـ https، أو افتح صفحة الخادم نفسه.",
      },
      unreachable: {
        title: "لا يأتي جواب من هذا الخادم.",
        next: "تحقق من أنه يعمل، ومن أن هذا الجهاز يصل إليه، ومن أنه يسمح لصفحات هذا الموقع (CORS؛ مع Ocelli: ‎--origin).",
      },
      refused: { title: "يرفض الخادم المفتاح.", next: "أدخل مفتاحًا آخر في الإعدادات تحت «الخادم»." },
      notFound: { title: "ليس في الخادم هذا العنوان أو هذا النموذج.", next: "تحقق من العنوان واختبر الاتصال." },
      busy: { title: "الخادم مشغول، أو بلغت حدًّا.", next: "انتظر قليلًا ثم حاول مرة أخرى." },
      stream: { title: "لا يرسل الخادم الإجابات على دفعات.", next: "تحتاج هذه الصفحة إلى أحداث يرسلها الخادم (SSE)؛ وقد يحجزها وكيل." },
      cut: { title: "أنهى الخادم الإجابة قبل اكتمالها.", next: "حاول مرة أخرى." },
      other: { title: "يبلغ الخادم عن خطأ.", next: "حاول مرة أخرى، أو تحقق من النموذج ومن إعدادات الإجابات." },
    },
  },

  pictures: {
    look: "النظر",
    seconds: "أقصى عدد من الثواني حتى الكلمة الأولى، مع «تلقائي»",
    secondsOf: (seconds: number) => `${number(seconds)} ث`,
  },

  tasks: {
    about: "المهام هي الأزرار التي فوق السؤال.",
    own: "مهامك الخاصة",
    none: "لم تُنشئ مهمة خاصة بعد.",
    builtIn: "مهام هذه الصفحة",
    edit: "تعديل",
    duplicate: "تكرار",
    up: "إلى الأعلى",
    down: "إلى الأسفل",
    of: (act: string, name: string) => `${act}: ${name}`,
    copyOf: (name: string) => `${name} (نسخة)`,
    create: "مهمة جديدة",
    save: "حفظ الكل في ملف",
    load: "إضافة من ملف",
    loaded: (tasks: number) => `أُضيف: ${counted(tasks, TASKS)}.`,
    unreadable: (place: string) => `ليس هذا ملف مهام: ${place}.`,
    deleted: (name: string) => `حُذفت «${name}».`,
  },

  data: {
    keeps: "حفظ المحادثات على هذا الجهاز",
    keepsHelp: "وإلا كانت كل محادثة جديدة مؤقتة.",
    cache: "متابعة المحادثات دون حسابها من جديد",
    cacheHelp: "يُحفظ ما حسبه النموذج في ملفات هذا المتصفح، بحد أقصى 1 GB.",
    stored: "المحفوظ على هذا الجهاز",
    models: "النماذج",
    conversations: "المحادثات وصورها",
    albums: "الألبومات ونسخ صورها",
    all: "المجموع كما يحسبه المتصفح",
    counting: "جارٍ الحساب …",
    sized: (bytes: number) => (bytes === 0 ? "لا شيء" : sizeText(bytes)),
    export: "حفظ كل المحادثات في ملف",
    markdown: "حفظها بصيغة Markdown",
    import: "إضافة محادثات من ملف",
    exported: (saved: number) => `حُفظ: ${conversations(saved)}.`,
    imported: (added: number, known: number, faulty: number, first: string) => {
      const more = [known > 0 && `موجود من قبل: ${number(known)}`, faulty > 0 && `تعذّرت قراءته: ${number(faulty)} (${first})`];
      return `${[`أُضيف: ${conversations(added)}`, ...more].filter(Boolean).join("، ")}.`;
    },
    notReadable: "ليس هذا ملف محادثات.",
    newer: "هذا الملف من نسخة أحدث من الصفحة.",
    deleteAll: "حذف كل شيء",
    deleteQuestion: "هل تريد حذف كل المحادثات والألبومات والإعدادات والنماذج المحفوظة في هذه الصفحة؟ لا يمكن التراجع عن ذلك.",
    deleteNow: "حذف كل شيء الآن",
    keep: "الاحتفاظ بها",
  },

  privacy: {
    promises: [
      "ما لم يُجب خادم، لا تغادر الصور والأسئلة والإجابات هذا الجهاز أبدًا. لا حساب ولا إحصاءات، ولا شيء من موقع آخر في هذه الصفحة.",
      "الجزء الذي يعرض ما تكتبه النماذج لا يصل إلا إلى هذا الموقع. وحدهما الجزءان اللذان يجلبان النماذج ويسألان خادمك يصلان إلى مواقع أخرى، وهما لا يعرضان شيئًا.",
      "تُحفظ المحادثات والألبومات في هذا المتصفح وحده إلى أن تحذفها.",
    ],
    requests: "الطلبات إلى مواقع أخرى منذ فتح هذه الصفحة",
    none: "لا شيء.",
    request: (time: string, address: string) => `${time}: ${address}`,
    notSeen: "لا يمكن عرضها إلا بعد أن تعمل الصفحة دون اتصال، أي من الزيارة الثانية.",
  },

  about: {
    version: (version: string) => `Ocelli ${version}`,
    what: "نماذج رؤية ولغة في المتصفح، على جهازك.",
    licences: "رخص مكتبات الصفحة",
    engineLicences: "رخص مكتبات المحرك",
    report: "نسخ تقرير عن هذا الجهاز",
    copied: "نُسخ التقرير.",
    notCopied: "لا يسمح المتصفح بالنسخ.",
  },

  keys: {
    heading: "المفاتيح",
    off: "المفاتيح المفردة متوقفة في الإعدادات.",
    groups: [
      {
        heading: "في أي مكان",
        keys: [
          ["/", "كتابة سؤال"],
          ["n", "محادثة جديدة"],
          ["u", "إضافة صور"],
          ["c", "المحادثات"],
          ["a", "الألبومات"],
          ["m", "النماذج"],
          ["s", "الإعدادات"],
          ["?", "هذه المفاتيح"],
          ["Esc", "إغلاق الحوار، أو إيقاف الإجابة"],
        ],
      },
      {
        heading: "في السؤال",
        keys: [
          ["Enter", "إرسال"],
          ["Shift+Enter", "سطر جديد"],
          ["↑", "إن كان فارغًا: تعديل السؤال الأخير"],
        ],
      },
      {
        heading: "في سؤال أو إجابة",
        keys: [
          ["[ ]", "النسخة السابقة والتالية"],
          ["r", "إجابة أخرى"],
          ["e", "تعديل"],
          ["y", "نسخ"],
        ],
      },
      {
        heading: "في ألبوم",
        keys: [
          ["j k", "الصورة التالية والسابقة"],
          ["Enter", "تعديل النص"],
          ["Ctrl+Enter", "رُوجعت، والانتقال إلى التالية"],
          ["x", "زخرفية"],
          ["r", "الكتابة من جديد"],
          ["مسافة", "تحديد"],
        ],
      },
      {
        heading: "في الإطار حول جزء من صورة",
        keys: [
          ["← ↑ → ↓", "تحريكه بمقدار 1 %، ومع Shift بمقدار 10 %"],
          ["Alt+← ↑ → ↓", "تغيير حجمه"],
          ["Enter", "اعتماده"],
        ],
      },
    ],
  },

  inbox: {
    heading: "الصور المشاركة",
    none: "لا توجد صور مشاركة.",
    full: "لم تكن هناك مساحة للصور المشاركة. احذف شيئًا من الإعدادات، البيانات، ثم شاركها من جديد.",
    ask: "السؤال عنها",
    album: "إنشاء ألبوم منها",
    discard: "تجاهلها",
  },
} satisfies SettingWords;
