/** Chinese (simplified): words of settings, of the list of keys, and of pictures that another program has shared. */
import { number, sizeText } from "../format.js";
import type { SettingWords } from "../types.js";

const conversations = (value: number) => `${number(value)} 个对话`;

export const settings = {
  heading: "设置",
  title: (section: string) => `设置：${section}`,
  sections: {
    general: "通用",
    answers: "回答",
    server: "服务器",
    pictures: "图片",
    tasks: "任务",
    data: "数据",
    privacy: "隐私",
    about: "关于",
  },

  general: {
    language: "语言",
    ofBrowser: "与浏览器相同",
    languageFailed: "无法加载这种语言。请检查网络连接。",
    theme: "颜色",
    themes: { system: "与系统相同", light: "浅色", dark: "深色" },
    atOnce: "立即描述新图片",
    singleKeys: "用单个按键作为快捷键",
    singleKeysHelp: "如果妨碍语音输入或屏幕阅读器，请关闭。",
    keys: "显示所有按键",
    announces: "向屏幕阅读器播报的回答内容",
    announceKinds: { sentences: "每句话", whole: "完成后播报全文", off: "不播报" },
    screenOn: "撰写相册时保持屏幕常亮",
  },

  answers: {
    about: "留空的项目由模型决定：采用发布者推荐的值。",
    instruction: "适用于所有对话的指令",
    instructionHelp: "例如“请用中文简短回答。”演示模型不理解指令。",
    own: "由模型决定",
    temperature: "温度，0 至 2",
    top_p: "Top-p，0 至 1",
    top_k: "Top-k",
    min_p: "Min-p，0 至 1",
    frequency_penalty: "频率惩罚，−2 至 2",
    presence_penalty: "存在惩罚，−2 至 2",
    seed: "种子",
    seedHelp: "种子相同时，同一问题得到同样的回答。",
    longest: "最长回答",
    longestOf: (tokens: number) => `${number(tokens)} 个词元，约 ${number(Math.round(tokens * 0.75))} 个词`,
    longestOwn: "1,024 个词元；演示模型为 256 个",
    thinking: "回答前的思考",
    thinkings: { off: "关闭", short: "短", medium: "中", long: "长" },
    thinkingNone: "当前模型在回答前不思考。",
    context: "对话长度",
    contextOf: (tokens: number) => `${number(tokens)} 个词元`,
    reloads: "更改后会重新加载模型。",
    reset: "全部重置",
    wasReset: "所有回答设置已恢复为由模型决定。",
  },

  server: {
    about: "可以由服务器代替这台设备回答：另一台机器上的“ocelli serve”，或任何提供 OpenAI API 的服务器。您的图片、问题和对话将会发送给它。",
    served: "本页面来自一台服务器，它也负责回答。不会向别处发送任何内容。",
    address: "地址",
    addressHelp: "例如 http://localhost:8080",
    key: "密钥",
    keyHelp: "关闭此标签页后即被遗忘，除非您选择保留。",
    keepsKey: "在此浏览器中保留密钥",
    test: "测试连接",
    testing: "正在测试……",
    works: "服务器有应答。",
    use: "使用此服务器",
    faults: {
      address: { title: "这不是服务器的地址。", next: "地址形如 http://localhost:8080 或 https://models.example.org。" },
      key: { title: "此密钥含有密钥不会有的字符。", next: "请重新复制，不要带空格。" },
      mixed: { title: "通过 https 打开的页面不能访问 http 服务器。", next: "请使用 https 地址，或打开服务器自己的页面。" },
      unreachable: {
        title: "此服务器没有应答。",
        next: "请检查它是否在运行、这台设备能否访问它，以及它是否允许本站的页面（CORS；Ocelli 用 --origin）。",
      },
      refused: { title: "服务器拒绝了密钥。", next: "请在设置的“服务器”中输入另一个密钥。" },
      notFound: { title: "服务器没有这个地址或模型。", next: "请检查地址并测试连接。" },
      busy: { title: "服务器繁忙，或已达到限额。", next: "请稍等片刻再试。" },
      stream: { title: "服务器不以流的形式发送回答。", next: "本页面需要服务器发送事件（SSE）；可能被代理扣留。" },
      cut: { title: "服务器提前结束了回答。", next: "请再试一次。" },
      other: { title: "服务器报告了错误。", next: "请再试一次，或检查模型和回答设置。" },
    },
  },

  pictures: {
    look: "查看方式",
    seconds: "“自动”时到第一个词的最长秒数",
    secondsOf: (seconds: number) => `${number(seconds)} 秒`,
  },

  tasks: {
    about: "任务是问题上方的按钮。",
    own: "您自己的任务",
    none: "您还没有自己的任务。",
    builtIn: "此页面的任务",
    edit: "修改",
    duplicate: "复制一份",
    up: "上移",
    down: "下移",
    of: (act: string, name: string) => `${act}：${name}`,
    copyOf: (name: string) => `${name}（副本）`,
    create: "新任务",
    save: "全部保存为文件",
    load: "从文件添加",
    loaded: (tasks: number) => `已添加 ${number(tasks)} 个任务。`,
    unreadable: (place: string) => `这不是任务文件：${place}。`,
    deleted: (name: string) => `已删除“${name}”。`,
  },

  data: {
    keeps: "在这台设备上保留对话",
    keepsHelp: "否则每个新对话都是临时的。",
    cache: "继续对话时不重新计算",
    cacheHelp: "模型的计算结果保存在这个浏览器的文件中，最多 1 GB。",
    stored: "已保存在这台设备上",
    models: "模型",
    conversations: "对话及其图片",
    albums: "相册及其图片副本",
    all: "合计（按浏览器统计）",
    counting: "正在统计…",
    sized: (bytes: number) => (bytes === 0 ? "无" : sizeText(bytes)),
    export: "将所有对话保存为文件",
    markdown: "保存为 Markdown",
    import: "从文件添加对话",
    exported: (saved: number) => `已保存 ${conversations(saved)}。`,
    imported: (added: number, known: number, faulty: number, first: string) => {
      const more = [known > 0 && `${number(known)} 个已存在`, faulty > 0 && `${number(faulty)} 个无法读取：${first}`];
      return `${[`已添加 ${conversations(added)}`, ...more].filter(Boolean).join("，")}。`;
    },
    notReadable: "这不是对话文件。",
    newer: "这个文件由此页面的更新版本生成。",
    deleteAll: "删除全部内容",
    deleteQuestion: "要删除此页面的所有对话、相册、设置和已保存的模型吗？此操作无法撤销。",
    deleteNow: "立即全部删除",
    keep: "保留",
  },

  privacy: {
    promises: [
      "除非由服务器回答，图片、问题和回答绝不会离开这台设备。没有账号，没有统计，页面中也没有其他网站的内容。",
      "显示模型所写内容的部分只能访问本网站。只有获取模型和询问您的服务器的部分能访问其他网站，而它们不显示任何内容。",
      "对话和相册只保存在这个浏览器中，直到您删除它们。",
    ],
    requests: "打开此页面以来对其他网站的请求",
    none: "无。",
    request: (time: string, address: string) => `${time}：${address}`,
    notSeen: "页面可离线使用之后才能列出，即从第二次访问开始。",
  },

  about: {
    version: (version: string) => `Ocelli ${version}`,
    what: "在浏览器中、在您自己的设备上运行的视觉语言模型。",
    licences: "页面所用库的许可证",
    engineLicences: "引擎所用库的许可证",
    report: "复制关于这台设备的报告",
    copied: "报告已复制。",
    notCopied: "浏览器不允许复制。",
  },

  keys: {
    heading: "按键",
    off: "单键快捷键已在设置中关闭。",
    groups: [
      {
        heading: "任何位置",
        keys: [
          ["/", "输入问题"],
          ["n", "新对话"],
          ["u", "添加图片"],
          ["c", "对话"],
          ["a", "相册"],
          ["m", "模型"],
          ["s", "设置"],
          ["?", "显示这些按键"],
          ["Esc", "关闭对话框，或停止回答"],
        ],
      },
      {
        heading: "在问题中",
        keys: [
          ["Enter", "发送"],
          ["Shift+Enter", "换行"],
          ["↑", "为空时：修改上一个问题"],
        ],
      },
      {
        heading: "在问题或回答上",
        keys: [
          ["[ ]", "上一个和下一个版本"],
          ["r", "重新回答"],
          ["e", "修改"],
          ["y", "复制"],
        ],
      },
      {
        heading: "在相册中",
        keys: [
          ["j k", "下一张和上一张图片"],
          ["Enter", "修改文本"],
          ["Ctrl+Enter", "标为已审阅，并转到下一张"],
          ["x", "装饰性"],
          ["r", "重新撰写"],
          ["空格", "选择"],
        ],
      },
      {
        heading: "在图片局部的边框中",
        keys: [
          ["← ↑ → ↓", "移动 1 %，按住 Shift 移动 10 %"],
          ["Alt+← ↑ → ↓", "改变大小"],
          ["Enter", "确认"],
        ],
      },
    ],
  },

  inbox: {
    heading: "分享的图片",
    none: "没有分享的图片。",
    full: "没有空间存放分享的图片。请在“设置”的“数据”中删除一些内容，然后重新分享。",
    ask: "询问这些图片",
    album: "用它们创建相册",
    discard: "放弃",
  },
} satisfies SettingWords;
