/** Chinese (simplified): words of the list of models, of downloads, and of questions that wait for a model. */
import { duration, percent, rough, sizeText } from "../format.js";
import type { ModelWords } from "../types.js";

export const models = {
  held: {
    model: "模型就绪后会自动发送。",
    cancel: "取消",
    photograph: "这看起来是一张照片。演示模型只认识简单的图画。",
    download: (name: string, bytes: number | null, seconds: number | null) => {
      const facts = [bytes === null ? null : sizeText(bytes), seconds === null ? null : `约 ${duration(seconds)}`].filter(Boolean);
      return `下载 ${name}${facts.length > 0 ? `（${facts.join("，")}）` : ""}并描述`;
    },
    use: (name: string) => `使用 ${name} 描述`,
    host: (host: string) => `来自 ${host}。您的图片不会离开这台设备。`,
    other: "选择其他模型",
    anyway: "仍然询问演示模型",
    none: "没有适合这台设备的、能看照片的模型。",
    willAnswer: (name: string) => `${name} 下载完成后会立即回答。您可以关闭页面，稍后再来。`,
  },

  downloads: {
    label: "下载",
    queued: (name: string) => `${name} 正在等待前一个下载。`,
    running: (name: string, loaded: number, total: number, rate: number | null) =>
      total === 0
        ? `${name}：正在查找文件…`
        : `${name}：${sizeText(total)} 的 ${percent(loaded / total)}${rate ? `，每秒 ${sizeText(rate)}，还需 ${duration((total - loaded) / rate)}` : ""}`,
    paused: (name: string, loaded: number, total: number) => `${name}：已暂停于 ${percent(loaded / (total || 1))}。可随时继续。`,
    failed: (name: string, title: string) => `${name}：${title}`,
    pause: (name: string) => `暂停下载 ${name}`,
    resume: (name: string) => `继续下载 ${name}`,
    discard: (name: string) => `放弃下载 ${name}`,
  },

  linked: {
    heading: "要加载其他网站的模型吗？",
    names: "打开此页面的链接指定了一个模型，来自 ",
    unknownSize: "大小未知",
    size: (bytes: number) => sizeText(bytes),
    advice: "它会被下载并保存在这个浏览器中，并在这里撰写回答。您的图片和问题不会发送到任何地方。只有在您信任该网站时才加载。",
    refuse: "不加载",
    load: "加载",
  },

  list: "可选的模型",
  demoTitle: "演示模型",
  demoAbout: "随此页面提供。非常小：只认识画出来的图形、短词、时钟、柱状图和路标，别的都不认识。",
  demoDownload: "无需再下载任何内容。",
  runsOn: (device: string) => `模型运行于${device}。`,
  test: "测试这台设备",
  room: (free: number) => `这个浏览器还有 ${sizeText(free)} 空间。`,
  memory: "显存",
  memoryUnknown: "我不知道",
  memoryOf: (gigabytes: number, isMost: boolean) => (isMost ? `${gigabytes} GB 或更多` : `${gigabytes} GB`),
  memoryHelp: "浏览器不提供这项信息。在 Apple 设备和集成显卡上，约为内存的一半。从下次加载起生效。",
  protected: "这里保存的内容受到保护，不会被清除。",
  unprotected: "磁盘已满时，浏览器可能会清除这里保存的内容。",
  protect: "请求浏览器保留",
  onDevice: "在这台设备上",
  larger: "较大",
  licence: (licence: string) => `许可证：${licence}`,
  size: (bytes: number, isEstimate: boolean) => `${isEstimate ? "约 " : ""}${sizeText(bytes)}`,
  download: (size: string | null, seconds: number | null) =>
    `下载：${size ?? "开始前未知"}${seconds === null ? "" : `，${duration(seconds)}后就绪`}`,
  downloaded: "下载：无需，已在这里",
  takes: (size: string) => `占用：这台设备上 ${size}`,
  needs: (least: string, all: string, isOnProcessor: boolean) => `${isOnProcessor ? "内存" : "显存"}：${least} 至 ${all}`,
  speedMeasured: (tokensPerSecond: number) => `速度：每秒 ${rough(tokensPerSecond * 0.75)} 个词（在此测得）`,
  onProcessor: (tokensPerSecond: number, isSlow: boolean) => {
    const perSecond = tokensPerSecond * 0.75;
    const speed = perSecond >= 1.5 ? `约 ${Math.round(perSecond)} 个词` : perSecond >= 0.75 ? "约一个词" : "不到一个词";
    return `在处理器上运行：每秒${speed}${isSlow ? "，比较慢" : ""}。`;
  },
  fits: (all: number) => `应该可以在这里运行。约需 ${sizeText(all)} 显存。`,
  use: "使用",
  inUse: "使用中",
  get: (bytes: number | null) => (bytes === null ? "下载" : `下载 ${sizeText(bytes)}`),
  discard: "放弃",
  of: (act: string, name: string) => `${act}：${name}`,
  ownHeading: "您自己的模型",
  ownAbout1: "Ministral 3、Mistral Small 3.1、Qwen3-VL 或 Qwen3.5 的 GGUF 文件，以及让它能看图的 ",
  ownAbout2: " 文件；或者这些模型或 Llama 3.2 Vision 的 safetensors 文件夹。文件在原处读取，不会上传。",
  address: "GGUF 文件或文件夹的地址",
  mmprojAddress: "如果是 GGUF 文件，其 mmproj 文件的地址",
  load: "从这个地址加载",
  files: "或将文件拖到此页面的任意位置，或者",
  chooseFiles: "选择模型文件",
  loadFiles: "加载这些文件",
  fileModel: "模型",
  fileVision: "视觉（mmproj）",
  noModel: "尚未提供：包含语言部分的 GGUF 文件",
  noVision: "未提供：模型将看不到图片",
  file: (name: string, bytes: number) => `${name}，${sizeText(bytes)}`,
  storedHeading: "已保存在这台设备上",
  entry: (name: string, bytes: number, isComplete: boolean) => `${name}，${sizeText(bytes)}${isComplete ? "" : "，不完整"}`,
  takeStored: (name: string) => `使用 ${name}`,
  deleteStored: (name: string) => `删除 ${name}`,
  deleteQuestion: (name: string, bytes: number) => `要删除 ${name} 吗？它占用 ${sizeText(bytes)}，以后需要重新下载。`,
  keep: "保留",
  deleted: (name: string) => `已删除 ${name}。`,
  partly: (name: string, loaded: number, total: number) =>
    `${name} 已转换 ${percent(loaded / (total || 1))}（${sizeText(loaded)} / ${sizeText(total)}）。`,
  sameFiles: (files: string) => `要继续，请再次提供相同的文件：${files}。`,
  discardPart: (name: string) => `放弃 ${name} 已转换的部分`,
  resumePart: (name: string) => `继续转换 ${name}`,
} satisfies ModelWords;
