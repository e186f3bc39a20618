/** `Engine.check()`: finds out before a download which models this device can run. */
import { wireSource, type ImportOptions } from "../import/model-source.js";
import { importedPackage } from "../import/package-id.js";
import { webSha256 } from "../store/hash.js";
import { packages } from "../store/packages.js";
import { freeBytes, readableBytes } from "../store/quota.js";
import type { DeviceChoice } from "../worker/protocol.js";
import { canShareMemory, possibleThreads } from "../worker/threads.js";
import { checkDevice, shortLimit, type CheckedDevice, type DeviceFault } from "./check-device.js";
import { interruptedImports, type InterruptedImport } from "./import-model.js";
import { registry, type RegisteredModel } from "./registry.js";

/** Stable codes of the reasons why a model does not fit this device. */
export type CheckCode =
  | DeviceFault
  /** A limit of the GPU is below what WebGPU promises. `detail`: `limit`, `needed`, `available`. */
  | "limits-too-small"
  /** The publisher gives access on request only, and a page has no token: `ocelli pull` makes a package that a page can load. */
  | "gated"
  /**
   * The processor computes on one thread: the page is not cross-origin isolated (headers `cross-origin-opener-policy` and
   * `cross-origin-embedder-policy`), or the browser is Firefox. `detail`: `used`, `possible`.
   */
  | "no-threads"
  /** The processor has no room for it: a page's module has at most 4 GiB. `detail`: `memory`, `needed`, in bytes. */
  | "processor-memory"
  /** The model needs more than `gpuMemoryBudget` allows. `detail`: `budget`, `needed`, in bytes. */
  | "budget-too-small"
  /** The processor emulates the only GPU: models run on the processor itself, or on the emulated GPU with `device: "gpu"`. */
  | "software-device"
  /** The machine has less memory than the model needs. `detail`: `memory`, `needed`, in bytes. */
  | "little-memory"
  /** The browser has no room to store it: it is downloaded at every visit. `detail`: `wanted`, `free`, in bytes. */
  | "storage-full";

/** A reason against one model, or against all models. */
export interface CheckReason {
  code: CheckCode;
  /** For people. */
  message: string;
  detail: Readonly<Record<string, string | number>>;
  /** True if the model cannot be run at all. */
  isFatal: boolean;
}

/** A model on this device. */
export interface ModelCheck {
  model: RegisteredModel;
  /** True if it can be run: no reason is fatal. */
  fits: boolean;
  /** Reasons against it, fatal ones first. */
  reasons: CheckReason[];
  /** True if this browser has stored all of it. */
  isStored: boolean;
  /** Bytes still to be downloaded, less what an interrupted import has; `null` if the size is not known. */
  downloadBytes: number | null;
  /** Bytes that the browser still has to store. */
  storageBytes: number;
  /** Bytes of GPU memory: `all` for the fastest plan, `least` for the smallest budget within which it runs. */
  gpuMemory: { all: number; least: number };
  /**
   * Estimates in seconds: until the first answer can begin, the download included, and the same at a later visit. `first` is `null` if the
   * size of the download or the speed of the network is not known.
   */
  loadSeconds: { first: number | null; later: number };
  /** Estimate of the tokens of an answer per second; `null` on a GPU, whose speed browsers do not tell. */
  tokensPerSecond: number | null;
  /** Ids of known models that fit if this one does not, the largest first. */
  alternatives: string[];
}

/** Result of `Engine.check()`. */
export interface DeviceCheck {
  /** True if models can be run at all. */
  isUsable: boolean;
  /** The device that models would run on: the GPU, or this machine's processor. */
  runsOn: "gpu" | "processor";
  /** Threads of the processor that models would run on; `null` on a GPU. */
  threads: number | null;
  /** Reasons against every model, or against the GPU. */
  reasons: CheckReason[];
  /** The GPU that the browser offers, used or not. */
  device: CheckedDevice | null;
  /** Bytes that the browser would still store for this site by its own estimate; `null` without one. */
  freeBytes: number | null;
  /** Bytes per second of the network, from downloads of this page; `null` if unknown. */
  bytesPerSecond: number | null;
  models: ModelCheck[];
}

/** Options of `Engine.check()`. */
export interface CheckOptions {
  /** The models to check. Default: {@link registry}. */
  models?: readonly RegisteredModel[];
  /** Import options, as in `LoadOptions`: a model stored with other options is not found. */
  import?: ImportOptions;
  /** The device, as in `LoadOptions`. Default `auto`. */
  device?: DeviceChoice;
  /** The most GPU memory that a model may use, in bytes, as in `LoadOptions`. Browsers do not report how much there is. */
  gpuMemoryBudget?: number;
  /** Speed of the network in bytes per second, if the caller knows it better than the browser. */
  bytesPerSecond?: number;
}

/**
 * Bytes per second of an import and of a load from storage, and seconds for the kernels: measured with a model of 3 GB on two cores of a
 * server with an emulated GPU (docs/performance.md). Most machines are faster.
 */
const [IMPORT_SPEED, LOAD_SPEED, START_SECONDS] = [15e6, 0.2e9, 5];

/** Bytes of a model for the processor: a module has 4 GiB, of which some are for pictures and other work. */
const PROCESSOR_BYTES = 3.5 * 2 ** 30;
/** Bytes of a package that a thread of the processor computes with in a second of an answer: docs/performance.md. */
const PROCESSOR_SPEED = 3e9;
const INSTEAD = "Models run on this computer's processor.";

const MESSAGES: Record<DeviceFault, string> = {
  "insecure-context": "WebGPU is for pages that are opened over https or from localhost.",
  "no-webgpu": "This browser has no WebGPU, or it is switched off.",
  "adapter-blocked": "This browser does not use this GPU with WebGPU: its driver may be too old, or on a list of faulty ones.",
  "no-adapter": "This browser finds no GPU: there is none, or hardware acceleration is switched off.",
  "no-worker": "There are no workers here: check in the page, not while it is rendered on a server.",
};

/** Checks which models this device can run. Downloads nothing, starts no worker, never rejects. */
export async function checkModels(options: CheckOptions = {}): Promise<DeviceCheck> {
  const [found, free, stored, interrupted] = await Promise.all([
    checkDevice(),
    freeBytes(),
    packages.list().catch(() => []),
    interruptedImports().catch(() => []),
  ]);
  const device = typeof found === "string" ? null : found;
  const choice = options.device ?? "auto";
  const reasons =
    choice === "cpu" && found !== "no-worker" ? [] : typeof found === "string" ? [withoutGpu(found, choice)] : deviceReasons(found, choice);
  const isGpuUsed = device !== null && shortLimit(device.limits) === null && !device.isSoftware;
  const runsOn = choice === "gpu" || (choice === "auto" && isGpuUsed) ? "gpu" : "processor";
  const threads = runsOn === "gpu" ? null : canShareMemory() ? possibleThreads() : 1;
  if (threads === 1 && possibleThreads() > 1 && found !== "no-worker") reasons.push(oneThread());
  const bytesPerSecond = options.bytesPerSecond ?? seenSpeed();
  const whole = new Set(stored.filter(({ complete }) => complete).map(({ url }) => url));
  const budget = options.gpuMemoryBudget ?? null;
  const context: Context = { reasons, free, bytesPerSecond, interrupted, budget, threads };
  const models = await Promise.all(
    (options.models ?? registry).map(async (model) =>
      checkModel(model, await isStored(model, whole, options.import ?? {}).catch(() => false), context),
    ),
  );
  const fitting = models
    .filter(({ fits, model }) => fits && !model.goodAt.includes("search"))
    .sort((one, other) => other.model.packageBytes - one.model.packageBytes);
  for (const checked of models) if (!checked.fits) checked.alternatives = fitting.map(({ model }) => model.id);
  const isUsable = !reasons.some(({ isFatal }) => isFatal);
  return { isUsable, runsOn, threads, reasons, device, freeBytes: free, bytesPerSecond, models };
}

async function isStored({ source }: RegisteredModel, whole: ReadonlySet<string>, options: ImportOptions): Promise<boolean> {
  const checkpoint = whole.size > 0 && (await wireSource(source));
  return checkpoint ? whole.has(await importedPackage(checkpoint, options, webSha256)) : false;
}

interface Context {
  reasons: CheckReason[];
  free: number | null;
  bytesPerSecond: number | null;
  interrupted: InterruptedImport[];
  budget: number | null;
  /** Threads of the processor; `null` on a GPU. */
  threads: number | null;
}

function withoutGpu(fault: DeviceFault, choice: DeviceChoice): CheckReason {
  const isFatal = fault === "no-worker" || choice === "gpu";
  return reason(fault, isFatal ? MESSAGES[fault] : `${MESSAGES[fault]} ${INSTEAD}`, {}, isFatal);
}

function deviceReasons({ limits, isSoftware, name }: CheckedDevice, choice: DeviceChoice): CheckReason[] {
  const short = shortLimit(limits);
  const reasons: CheckReason[] = [];
  const instead = choice === "gpu" ? "" : ` ${INSTEAD}`;
  if (short) {
    const message = `${short.limit} of this GPU is ${short.available}, ${short.needed} are needed.${instead}`;
    reasons.push(reason("limits-too-small", message, short, choice === "gpu"));
  }
  if (isSoftware) {
    const slow = choice === "gpu" ? " Models of gigabytes answer in minutes." : instead;
    reasons.push(
      reason("software-device", `The only GPU of this browser is emulated by the processor${name && ` (${name})`}.${slow}`, {}, false),
    );
  }
  return reasons;
}

function oneThread(): CheckReason {
  const possible = possibleThreads();
  const why = globalThis.crossOriginIsolated ? "This browser lets workers start no others" : "This page is not cross-origin isolated";
  const message = `${why}: models use one thread of ${possible}.`;
  return reason("no-threads", message, { used: 1, possible }, false);
}

function checkModel(model: RegisteredModel, isStored: boolean, context: Context): ModelCheck {
  const { reasons: ofDevice, free, bytesPerSecond, interrupted, budget, threads } = context;
  const begun = interrupted.find(({ source }) => JSON.stringify(source) === JSON.stringify(model.source));
  const left = isStored ? 0 : begun ? 1 - begun.loaded / (begun.total || 1) : 1;
  const { gpuMemory, packageBytes } = model;
  const downloadBytes = isStored ? 0 : model.downloadBytes === null ? null : model.downloadBytes * left;
  const storageBytes = packageBytes * left;
  const reasons = [...ofDevice];
  if (budget !== null && budget < gpuMemory.least) {
    const message = `At least ${readableBytes(gpuMemory.least)} of GPU memory are needed, ${readableBytes(budget)} are allowed.`;
    reasons.push(reason("budget-too-small", message, { budget, needed: gpuMemory.least }, true));
  }
  if (threads !== null && PROCESSOR_BYTES < gpuMemory.least) {
    const message = `At least ${readableBytes(gpuMemory.least)} of memory are needed, a page has ${readableBytes(PROCESSOR_BYTES)} for the processor.`;
    reasons.push(reason("processor-memory", message, { memory: PROCESSOR_BYTES, needed: gpuMemory.least }, true));
  }
  if (model.isGated && !isStored)
    reasons.push(reason("gated", `${model.name} can be downloaded with a token only: see \`ocelli pull\`.`, {}, true));
  const memory = machineMemory();
  if (memory !== null && memory < gpuMemory.least) {
    const message = `This machine has ${readableBytes(memory)} of memory, at least ${readableBytes(gpuMemory.least)} are needed.`;
    reasons.push(reason("little-memory", message, { memory, needed: gpuMemory.least }, false));
  }
  if (free !== null && free < storageBytes) {
    const message = `This browser has no room to keep it: ${readableBytes(storageBytes)} are needed, ${readableBytes(free)} are free.`;
    reasons.push(reason("storage-full", message, { wanted: storageBytes, free }, false));
  }
  reasons.sort((one, other) => Number(other.isFatal) - Number(one.isFatal));
  const later = packageBytes / LOAD_SPEED + START_SECONDS;
  const network = bytesPerSecond && downloadBytes !== null ? downloadBytes / Math.min(bytesPerSecond, IMPORT_SPEED) : null;
  const first = isStored ? later : network === null ? null : network + later;
  const fits = !reasons.some(({ isFatal }) => isFatal);
  const loadSeconds = { first, later };
  const tokensPerSecond = threads === null ? null : (threads * PROCESSOR_SPEED) / packageBytes;
  return { model, fits, reasons, isStored, downloadBytes, storageBytes, gpuMemory, loadSeconds, tokensPerSecond, alternatives: [] };
}

function reason(code: CheckCode, message: string, detail: CheckReason["detail"], isFatal: boolean): CheckReason {
  return { code, message, detail, isFatal };
}

/** Bytes of memory of the machine; `null` if the browser does not report it, or if there may be more. */
function machineMemory(): number | null {
  const gigabytes = (globalThis.navigator as { deviceMemory?: number } | undefined)?.deviceMemory;
  // Browsers report no more than this.
  return gigabytes === undefined || gigabytes >= 8 ? null : gigabytes * 2 ** 30;
}

/** Bytes per second of the largest file that this page has downloaded; if all were small, the browser's estimate. */
function seenSpeed(): number | null {
  const entries = (globalThis.performance?.getEntriesByType?.("resource") ?? []) as PerformanceResourceTiming[];
  const [largest] = entries.filter(({ transferSize }) => transferSize > 1e5).sort((one, other) => other.transferSize - one.transferSize);
  if (largest) return (1e3 * largest.transferSize) / Math.max(largest.responseEnd - largest.requestStart, 1);
  const megabits = (globalThis.navigator as { connection?: { downlink?: number } } | undefined)?.connection?.downlink;
  return megabits ? (megabits * 1e6) / 8 : null;
}
