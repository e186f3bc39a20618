/** Arabic: words of the list of models, of downloads, and of questions that wait for a model. */
import { duration, percent, rough, sizeText } from "../format.js";
import type { ModelWords } from "../types.js";

export const models = {
  held: {
    model: "سيُرسل عندما يصبح النموذج جاهزًا.",
    cancel: "إلغاء",
    photograph: "تبدو هذه صورة فوتوغرافية. النموذج التجريبي لا يعرف سوى الرسوم البسيطة.",
    download: (name: string, bytes: number | null, seconds: number | null) => {
      const facts = [bytes === null ? null : sizeText(bytes), seconds === null ? null : `نحو ${duration(seconds)}`].filter(Boolean);
      return `تنزيل ${name}${facts.length > 0 ? ` (${facts.join("، ")})` : ""} ووصفها`;
    },
    use: (name: string) => `استخدام ${name} ووصفها`,
    host: (host: string) => `يأتي من ${host}. تبقى صورتك على هذا الجهاز.`,
    other: "اختيار نموذج آخر",
    anyway: "اسأل النموذج التجريبي على أي حال",
    none: "لا يناسب هذا الجهازَ أيُّ نموذج يرى الصور الفوتوغرافية.",
    willAnswer: (name: string) => `سيجيب ${name} عنه فور وصوله. يمكنك إغلاق الصفحة والعودة لاحقًا.`,
  },

  downloads: {
    label: "التنزيلات",
    queued: (name: string) => `${name} ينتظر التنزيل الذي قبله.`,
    running: (name: string, loaded: number, total: number, rate: number | null) =>
      total === 0
        ? `${name}: جارٍ البحث عن ملفاته …`
        : `${name}: ${percent(loaded / total)} من ${sizeText(total)}${rate ? `، ${sizeText(rate)} في الثانية، بقي ${duration((total - loaded) / rate)}` : ""}`,
    paused: (name: string, loaded: number, total: number) =>
      `${name}: متوقف مؤقتًا عند ${percent(loaded / (total || 1))}. يمكنك المتابعة في أي وقت.`,
    failed: (name: string, title: string) => `${name}: ${title}`,
    pause: (name: string) => `إيقاف تنزيل ${name} مؤقتًا`,
    resume: (name: string) => `متابعة تنزيل ${name}`,
    discard: (name: string) => `إلغاء تنزيل ${name}`,
  },

  linked: {
    heading: "هل تريد تحميل نموذج من موقع آخر؟",
    names: "الرابط الذي فتح هذه الصفحة يذكر نموذجًا من ",
    unknownSize: "الحجم غير معروف",
    size: (bytes: number) => sizeText(bytes),
    advice: "سيُنزَّل ويُحفظ في هذا المتصفح ويكتب الإجابات هنا. لا تُرسل صورك وأسئلتك إلى أي مكان. لا تحمّله إلا إذا كنت تثق بذلك الموقع.",
    refuse: "عدم تحميله",
    load: "تحميله",
  },

  list: "نماذج للاختيار",
  demoTitle: "النموذج التجريبي",
  demoAbout: "يأتي مع هذه الصفحة. صغير جدًا: يعرف الأشكال المرسومة والكلمات القصيرة والساعات والمخططات الشريطية وإشارات المرور، لا غير.",
  demoDownload: "لا شيء آخر للتنزيل.",
  runsOn: (device: string) => `تعمل النماذج على ${device}.`,
  test: "اختبار هذا الجهاز",
  room: (free: number) => `في هذا المتصفح مساحة ${sizeText(free)}.`,
  memory: "ذاكرة الرسوميات",
  memoryUnknown: "لا أعرف",
  memoryOf: (gigabytes: number, isMost: boolean) => (isMost ? `${gigabytes} GB أو أكثر` : `${gigabytes} GB`),
  memoryHelp: "لا تخبر المتصفحات بها. في أجهزة Apple والمعالجات الرسومية المدمجة تبلغ نحو نصف ذاكرة الجهاز. يُعمل بها من التحميل التالي.",
  protected: "المحفوظ هنا محمي من المسح.",
  unprotected: "قد يمسح المتصفح المحفوظ هنا عند امتلاء القرص.",
  protect: "اطلب من المتصفح الاحتفاظ به",
  onDevice: "على هذا الجهاز",
  larger: "أكبر",
  licence: (licence: string) => `الرخصة: ${licence}`,
  size: (bytes: number, isEstimate: boolean) => `${isEstimate ? "نحو " : ""}${sizeText(bytes)}`,
  download: (size: string | null, seconds: number | null) =>
    `التنزيل: ${size ?? "لا يُعرف قبل البدء"}${seconds === null ? "" : `، جاهز خلال ${duration(seconds)}`}`,
  downloaded: "التنزيل: لا شيء، فهو هنا",
  takes: (size: string) => `يشغل: ${size} على هذا الجهاز`,
  needs: (least: string, all: string, isOnProcessor: boolean) => `${isOnProcessor ? "الذاكرة" : "ذاكرة الرسوميات"}: من ${least} إلى ${all}`,
  speedMeasured: (tokensPerSecond: number) => `السرعة: ${rough(tokensPerSecond * 0.75)} كلمة في الثانية (قيست هنا)`,
  onProcessor: (tokensPerSecond: number, isSlow: boolean) => {
    const perSecond = tokensPerSecond * 0.75;
    const speed = perSecond >= 1.5 ? `نحو ${Math.round(perSecond)} كلمة` : perSecond >= 0.75 ? "نحو كلمة واحدة" : "أقل من كلمة";
    return `يعمل على المعالج: ${speed} في الثانية${isSlow ? "، وهذا بطيء" : ""}.`;
  },
  fits: (all: number) => `يُفترض أن يعمل هنا. يحتاج إلى نحو ${sizeText(all)} من ذاكرة الرسوميات.`,
  use: "استخدام",
  inUse: "قيد الاستخدام",
  get: (bytes: number | null) => (bytes === null ? "تنزيل" : `تنزيل ${sizeText(bytes)}`),
  discard: "تجاهل",
  of: (act: string, name: string) => `${act}: ${name}`,
  ownHeading: "نموذجك الخاص",
  ownAbout1: "ملف GGUF من Ministral 3 أو Mistral Small 3.1 أو Qwen3-VL أو Qwen3.5 مع ملف ",
  ownAbout2: " الذي يجعله يرى، أو مجلد safetensors من هذه النماذج أو من Llama 3.2 Vision. تُقرأ الملفات حيث هي، ولا يُرفع شيء.",
  address: "عنوان ملف GGUF أو مجلد",
  mmprojAddress: "عنوان ملف mmproj الخاص به، إن كان ملف GGUF",
  load: "تحميل من هذا العنوان",
  files: "أو أفلت الملفات في أي مكان من هذه الصفحة، أو",
  chooseFiles: "اختيار ملفات النموذج",
  loadFiles: "تحميل هذه الملفات",
  fileModel: "النموذج",
  fileVision: "الرؤية (mmproj)",
  noModel: "لم يُقدَّم بعد: ملف GGUF الذي فيه اللغة",
  noVision: "لم يُقدَّم: لن يرى النموذج الصور",
  file: (name: string, bytes: number) => `${name}، ${sizeText(bytes)}`,
  storedHeading: "المحفوظ على هذا الجهاز",
  entry: (name: string, bytes: number, isComplete: boolean) => `${name}، ${sizeText(bytes)}${isComplete ? "" : "، غير مكتمل"}`,
  takeStored: (name: string) => `استخدام ${name}`,
  deleteStored: (name: string) => `حذف ${name}`,
  deleteQuestion: (name: string, bytes: number) => `حذف ${name}؟ يشغل ${sizeText(bytes)}، وسيلزم تنزيله من جديد.`,
  keep: "الاحتفاظ به",
  deleted: (name: string) => `حُذف ${name}.`,
  partly: (name: string, loaded: number, total: number) =>
    `حُوّل من ${name} ما نسبته ${percent(loaded / (total || 1))} (${sizeText(loaded)} من ${sizeText(total)}). `,
  sameFiles: (files: string) => `للمتابعة قدّم الملفات نفسها مرة أخرى: ${files}.`,
  discardPart: (name: string) => `تجاهل ما حُوّل من ${name}`,
  resumePart: (name: string) => `متابعة تحويل ${name}`,
} satisfies ModelWords;
