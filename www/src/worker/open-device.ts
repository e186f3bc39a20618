/** The device of a model: a GPU, or the processor where there is no GPU that can be used. */
import { errorData } from "../errors.js";
import type { LoadReport } from "../store/report.js";
import type { CpuHost, OcelliEngine } from "../wasm/ocelli.js";
import { whyNoGpu } from "./features.js";
import type { DeviceChoice } from "./protocol.js";

/** GPUs with these errors are replaced by the processor. */
const UNUSABLE: readonly string[] = ["webgpu-unavailable", "limits-too-small", "self-test-failed"];

/** An engine, and the reason why it is not on a GPU, if a GPU was not ruled out by the caller. */
interface Opened {
  engine: OcelliEngine;
  reason: string | null;
}

/** Loads the engine by `open`, on a GPU or on the processor that `processor` loads. */
export async function openDevice(
  device: DeviceChoice,
  open: (processor?: CpuHost) => Promise<OcelliEngine>,
  processor: () => Promise<CpuHost>,
  onReport: (report: LoadReport) => void,
): Promise<Opened> {
  if (device === "gpu") return { engine: await open(), reason: null };
  const reason = device === "auto" ? await whyNoGpu() : null;
  if (device === "cpu" || reason !== null) return { engine: await open(await processor()), reason };
  try {
    return { engine: await open(), reason: null };
  } catch (thrown) {
    const { code, message } = errorData(thrown);
    if (!UNUSABLE.includes(code)) throw thrown;
    const reason = `the GPU cannot be used: ${message}`;
    onReport({
      kind: "warning",
      code: "gpu-not-used",
      message: `the model runs on the processor, because ${reason}`,
      detail: { cause: code },
    });
    return { engine: await open(await processor()), reason };
  }
}
