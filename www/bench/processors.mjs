/** Load of the machine: on a busy one, processor time says more than the clock. */
import { readdirSync, readFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";

/** Seconds of processor time that this process and those below it have had so far; `null` where there is no `/proc`. */
export function processorSeconds() {
  try {
    const all = readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .flatMap(readProcess);
    const ours = new Set([process.pid]);
    for (let count = 0; count < ours.size; ) {
      count = ours.size;
      for (const { pid, parent, name } of all) if (ours.has(parent) && name !== "esbuild") ours.add(pid);
    }
    const ticks = all.reduce((sum, { pid, used }) => (ours.has(pid) ? sum + used : sum), 0);
    return ticks / 100;
  } catch {
    return null;
  }
}

/** The processor, how many of them there are, and how many programs wanted one during the last minute. */
export function machine() {
  return { processor: cpus()[0]?.model ?? "", processors: cpus().length, load: loadavg()[0] };
}

function readProcess(pid) {
  try {
    const [, name, fields] = /^\d+ \((.*)\) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8"));
    const [, parent, ...rest] = fields.split(" ");
    return [{ pid: Number(pid), name, parent: Number(parent), used: Number(rest[9]) + Number(rest[10]) }];
  } catch {
    return [];
  }
}
