/** Arabic: the words of the first view. */
import { altInstruction } from "../../../src/img-alt/instruction.js";
import { duration, number, percent, rough, sizeText } from "../format.js";
import type { Words } from "../types.js";
import { CONVERSATIONS, counted, TOKENS } from "./plural.js";

const tokens = (value: number) => counted(value, TOKENS);

export const main = {
  title: "Ocelli: اسأل عن صورك على جهازك",
  name: "Ocelli",
  about: "اسأل عن صورك. كل شيء يجري على هذا الجهاز.",
  skip: "انتقل إلى السؤال",
  close: "إغلاق",
  more: "المزيد",
  delete: "حذف",
  undo: "تراجع",

  loading: {
    starting: "جارٍ البدء …",
    cancel: "إلغاء",
    manifest: "جارٍ البحث عن النموذج …",
    preparing: "جارٍ التجهيز لهذا الجهاز …",
    ready: "النموذج جاهز.",
    import: "جارٍ قراءة النموذج وتحويله",
    stored: "جارٍ قراءة النموذج المحفوظ",
    downloading: "جارٍ تنزيل النموذج",
    bytes: (stage: string, loaded: number, total: number, rate: number | null) =>
      `${stage}: ${sizeText(loaded)} من ${sizeText(total)}${rate ? `، ${sizeText(rate)} في الثانية، بقي ${duration((total - loaded) / rate)}` : ""}`,
    kernels: (loaded: number, total: number) => ` · التجهيز لهذا الجهاز: ${percent(loaded / (total || 1))}`,
    quarter: (part: number) => `حُمّل ${part} بالمئة من النموذج`,
    repaired: (file: string) => `كان جزء محفوظ من النموذج تالفًا، وأُعيد جلبه: ${file}.`,
    cancelled: "أُلغي. الجزء المحوَّل محفوظ، ويمكن متابعة التحويل.",
  },

  device: {
    emulated: (name: string) => `معالج رسوميات يحاكيه المعالج${name ? ` (${name})` : ""}`,
    unnamed: "معالج الرسوميات لديك",
    processor: (threads: number | undefined) =>
      `معالج هذا الحاسوب${threads === undefined ? "" : ` (${counted(threads, { one: "خيط واحد", two: "خيطان", few: "خيوط", other: "خيطًا" })})`}`,
    // The reason is English; its signs belong to it.
    because: (device: string, reason: string) => `${device} (\u2068${reason}\u2069)`,
    running: (device: string) => `يعمل على ${device}.`,
  },

  conversations: {
    label: "المحادثات",
    open: "المحادثات",
    begin: "محادثة جديدة",
    begun: "محادثة جديدة.",
    temporary: "مؤقتة",
    temporaryHelp: "هذه المحادثة لا تُحفظ.",
    untitled: "محادثة جديدة",
    pinned: "المثبّتة",
    today: "اليوم",
    yesterday: "أمس",
    earlier: "سابقًا",
    none: "تُحفظ المحادثات هنا، على هذا الجهاز.",
    search: "البحث في المحادثات",
    found: (found: number) => (found === 0 ? "لم يُعثر على شيء." : `نتائج البحث: ${counted(found, CONVERSATIONS)}.`),
    more: "عرض المزيد",
    menu: (title: string) => `المزيد: ${title}`,
    rename: "إعادة التسمية",
    newName: "الاسم الجديد",
    save: "حفظ",
    pin: "تثبيت",
    unpin: "إلغاء التثبيت",
    deleted: (title: string) => `حُذفت «${title}».`,
    removed: "حُذفت الرسالة.",
    gone: "لم تعد هذه المحادثة موجودة.",
  },

  empty: {
    heading: "ماذا في صورتك؟",
    answers: "أفلت صورة أو ألصقها أو اختر واحدة في الأسفل، ثم اسأل.",
    demo: "النموذج التجريبي لا يعرف سوى الرسوم البسيطة. للصور الفوتوغرافية استخدم نموذجًا أكبر.",
    seeModels: "عرض النماذج",
    examples: "جرّب مثالًا",
    scene: "صورة مثال",
  },

  question: {
    label: "سؤالك",
    send: "إرسال",
    stop: "إيقاف",
    drop: "أفلت صورًا أو ألصقها، أو",
    choose: "اختيار صور",
    atOnce: "وصفها فورًا",
    look: "النظر",
    looks: { low: "نظرة سريعة", auto: "تلقائي", high: "كل التفاصيل" },
    seconds: (look: string, seconds: number) => `${look} (نحو ${duration(seconds)})`,
    heic: "لا يستطيع هذا المتصفح قراءة صور HEIC. احفظها بصيغة JPEG، أو شاركها من تطبيق الصور بصيغة JPEG.",
    camera: "الكاميرا",
    screenshot: "لقطة شاشة",
    screenshotName: "لقطة شاشة",
    openPicture: (name: string) => `فتح ${name}`,
    pictures: "صور السؤال التالي",
    remove: (name: string) => `إزالة ${name}`,
    suggestions: "أسئلة مقترحة",
    editing: "أنت تعدّل سؤالًا سابقًا.",
    cancelEdit: "إبقاؤه كما كان",
    enter: " للإرسال، ",
    shiftEnter: " لسطر جديد، ",
    escape: " للإيقاف.",
  },

  tasks: {
    all: {
      describe: {
        name: "وصف",
        instruction:
          "صف هذه الصورة بالعربية في جملتين إلى أربع جمل: ماذا تُظهر، وأين، وما غير المألوف فيها. ثم اكتب كل الكلمات التي فيها كما هي.",
      },
      alt: { name: "نص بديل", instruction: altInstruction({ language: "Arabic" }) },
      caption: { name: "تعليق", instruction: "اكتب بالعربية تعليقًا على هذه الصورة: جملة واحدة، لا تزيد على 15 كلمة." },
      read: {
        name: "قراءة النص",
        instruction:
          "اكتب كل النص الذي في هذه الصورة سطرًا سطرًا، كما هو تمامًا، وبترتيب القراءة. لا تكتب شيئًا آخر. إن لم يكن فيها نص فاكتب: (لا نص)",
      },
      fields: { name: "ملء حقول …", instruction: "املأ الحقول من الصورة. وما لا تذكره الصورة فاستخدم له null." },
      rules: { name: "التحقق من قواعد …", instruction: "احكم على الصورة وفق هذه القواعد دون غيرها. القواعد:" },
      find: { name: "إيجاد …", instruction: "" },
    },
    label: "المهام",
    own: "مهمة جديدة …",
    changeFields: "تعديل الحقول",
    chosen: (name: string) => `${name.replace(" …", "")}: ستُنفَّذ مع الصورة التالية.`,
    cancel: "إلغاء",
  },

  answer: {
    you: "أنت",
    name: "Ocelli",
    topic: "صور جديدة: إجابة دون النظر إلى ما سبق",
    begins: "بدأت الإجابة",
    complete: "اكتملت الإجابة",
    stopped: "أُوقفت.",
    thinking: "جارٍ التفكير …",
    waiting: "في انتظار النموذج …",
    picture: (picture: number, of: number, width: number, height: number) =>
      of > 1 ? `جارٍ النظر في الصورة ${picture} من ${of} بحجم ${width} × ${height} …` : `جارٍ النظر في الصورة بحجم ${width} × ${height} …`,
    reading: "جارٍ قراءة السؤال …",
    recovering: "أُعيدت تهيئة جهاز الرسوميات؛ ستُستأنف الإجابة بعد لحظات …",
    thoughts: "الأفكار",
    cut: "بلغت الإجابة أقصى طول محدد.",
    interrupted: "قُطعت عند إغلاق الصفحة.",
    failed: "لا توجد إجابة عن هذا السؤال.",
    retry: "إعادة المحاولة",
    truncated: (turns: number) =>
      `استُبعد من بداية المحادثة ${counted(turns, { one: "سؤال واحد", two: "سؤالان", few: "أسئلة", other: "سؤالًا" })}: المحادثة أطول مما يتسع له النموذج.`,
    pictureGone: (name: string) => `لم تعد ${name} موجودة.`,
    copy: "نسخ",
    copied: "نُسخ",
    copyAnswer: "نسخ الإجابة",
    again: "إجابة أخرى",
    continue: "متابعة",
    edit: "تعديل",
    delete: "حذف",
    version: (at: number, of: number) => `${at} من ${of}`,
    earlier: "النسخة السابقة",
    later: "النسخة التالية",
    fromHere: (model: string) => `من هنا فصاعدًا: ${model}`,
    details: "التفاصيل",
    model: (name: string) => `النموذج: ${name}`,
    prompt: (of: number, cached: number) => `السؤال: ${tokens(of)}${cached > 0 ? `، المعروف منها من قبل: ${number(cached)}` : ""}`,
    length: (of: number) => `الإجابة: ${tokens(of)}`,
    speed: (firstMs: number, perSecond: number) =>
      `الكلمة الأولى بعد ${rough(firstMs / 1000)} ث، ثم ${rough(perSecond * 0.75)} كلمة (${rough(perSecond)} رمز) في الثانية`,
    shown: (width: number, height: number, of: number) => `الصورة: ${width} × ${height}، ${tokens(of)}`,
    seed: (seed: number) => `البذرة: ${seed}`,
  },

  models: {
    demo: "النموذج التجريبي",
    own: "نموذجك",
    heading: "النموذج: ",
    change: "تغيير",
    resume: "متابعة",
    pause: "إيقاف مؤقت",
    loading: "جارٍ فتح النماذج …",
  },

  settings: {
    link: "الإعدادات",
    loading: "جارٍ فتح الإعدادات …",
    keys: "المفاتيح",
  },

  server: {
    sentTo: (address: string) => `تُرسل الصور والأسئلة إلى ${address}`,
    leave: "الإجابة على هذا الجهاز",
  },

  albums: {
    link: "الألبومات",
    loading: "جارٍ فتح الألبومات …",
    label: "ألبومات قيد العمل",
    begun: (title: string, done: number, of: number) => `${title}: أُنجز ${percent(done / (of || 1))}.`,
    states: {
      begun: "",
      running: "",
      held: "يُستأنف عند اكتمال إجابتك.",
      model: "في انتظار نموذج.",
      folder: "يجب فتح مجلده من جديد.",
      elsewhere: "علامة تبويب أخرى تكتبه.",
      failed: "لقد توقف.",
    },
    pause: "إيقاف مؤقت",
    resume: "متابعة",
    of: (act: string, title: string) => `${act}: ${title}`,
    tabTitle: (done: number, of: number, title: string) => `(${percent(done / (of || 1))}) ${title} – Ocelli`,
  },

  downloaded: (name: string) => `أصبح ${name} على هذا الجهاز.`,

  store: {
    full: "لا توجد مساحة لحفظ كل شيء: الجديد يضيع عند إغلاق هذه النافذة.",
    none: "هذه النافذة لا تحفظ شيئًا: كل شيء يضيع عند إغلاقها.",
    newer: "المحفوظ هنا كتبته نسخة أحدث من هذه الصفحة، ويبقى كما هو. هذه الزيارة لا تُحفظ.",
    outdated: "حُدّثت هذه الصفحة في علامة تبويب أخرى. أعد تحميلها ليُحفظ الجديد.",
    reload: "إعادة التحميل",
  },

  footer: {
    offline: "تعمل من الآن دون اتصال.",
    update: "توجد نسخة جديدة من هذه الصفحة.",
    reload: "إعادة التحميل",
  },

  problems: {
    details: "التفاصيل",
    of: (subject: string, title: string) => (subject ? `${subject}: ${title}` : title),
    other: { title: "حدث خطأ في هذه الصفحة.", next: "أعد المحاولة، أو أعد تحميل الصفحة." },
    codes: {
      "webgpu-unavailable": {
        title: "لا يتيح هذا المتصفح للنموذج WebGPU ولا المعالج.",
        next: "استخدم إصدارًا حديثًا من Chrome أو Edge أو Firefox أو Safari، وافتح الصفحة عبر https أو من localhost.",
      },
      "limits-too-small": {
        title: "هذا النموذج أكبر من أن يعمل على هذا الجهاز.",
        next: "اختر نموذجًا أصغر، أو أغلق الصفحات الأخرى التي تستخدم معالج الرسوميات.",
      },
      "budget-too-small": {
        title: "هذا النموذج أكبر من أن يعمل على هذا الجهاز.",
        next: "اختر نموذجًا أصغر، أو راجع ذاكرة الرسوميات التي ذكرتها تحت «النموذج».",
      },
      "out-of-memory": {
        title: "ذاكرة الرسوميات ممتلئة.",
        next: "أغلق علامات التبويب الأخرى التي تستخدمها، أو اختر نموذجًا أصغر، ثم أعد المحاولة.",
      },
      "device-lost": { title: "أُعيدت تهيئة برنامج تشغيل الرسوميات مرات عدة.", next: "ما كُتب محفوظ. أعد المحاولة." },
      "self-test-failed": {
        title: "هذا الجهاز يخطئ في الحساب، فلا يمكن الوثوق بإجاباته.",
        next: "حدّث برنامج تشغيل الرسوميات، أو استخدم متصفحًا آخر.",
      },
      "invalid-image": { title: "ليست هذه صورة تستطيع الصفحة قراءتها.", next: "ملفات PNG وJPEG وWebP تعمل دائمًا." },
      "image-too-large": { title: "هذه الصورة أكبر من أن تُفتح بأمان.", next: "صغّرها ثم أعد المحاولة." },
      "context-overflow": {
        title: "الصور والسؤال أطول مما يتسع له النموذج.",
        next: "استخدم صورًا أقل، أو ابدأ محادثة جديدة.",
      },
      integrity: {
        title: "وصل جزء من النموذج تالفًا مرتين.",
        next: "قد تكون النسخة على الخادم تالفة. أعد تحميل الصفحة للمحاولة من جديد.",
      },
      io: { title: "تعذّر تنزيل النموذج.", next: "ما وصل محفوظ. تحقق من الاتصال بالشبكة ثم أعد المحاولة." },
      "invalid-checkpoint": {
        title: "ليست هذه ملفات نموذج تستطيع الصفحة قراءته.",
        next: "تحقق من العناوين أو الملفات: ملف GGUF من Ministral 3 أو Mistral Small 3.1 أو Qwen3.5 أو Qwen3-VL، ومعه ملف mmproj الخاص به.",
      },
      "unsupported-architecture": {
        title: "هذا النموذج من عائلة لا يشغّلها Ocelli.",
        next: "اختر نموذجًا من Ministral 3 أو Mistral Small 3.1 أو Qwen3.5 أو Qwen3-VL.",
      },
      "storage-full": {
        title: "لا توجد مساحة لحفظ النموذج.",
        next: "احذف نموذجًا محفوظًا أو حرّر مساحة على القرص، ثم تابع.",
      },
      "storage-unavailable": {
        title: "لا يُسمح لهذه النافذة بحفظ الملفات.",
        next: "افتح الصفحة في نافذة عادية، أو استخدم النموذج من الذاكرة.",
      },
      "invalid-package": {
        title: "ملفات النموذج لا يتوافق بعضها مع بعض.",
        next: "تحقق من العنوان بعد ?model=، أو أعد تحميل الصفحة.",
      },
      tokenizer: { title: "ملفات النموذج لا يتوافق بعضها مع بعض.", next: "اختر ملفًا آخر لهذا النموذج." },
      "unsupported-schema": { title: "لا يمكن إلزام النموذج بهذه الصيغة.", next: "غيّر الصيغة." },
      "invalid-grammar": { title: "لا يمكن إلزام النموذج بهذه الصيغة.", next: "غيّر الصيغة." },
      "protocol-mismatch": { title: "حُدّثت هذه الصفحة في علامة تبويب أخرى.", next: "أعد تحميلها." },
    },
  },
} satisfies Words;
