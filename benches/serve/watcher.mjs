/** Streams of a client, one after another, until the first message: the times between tokens and those before the first ones. */
import { parentPort, workerData } from "node:worker_threads";
import { endless, Server } from "./server.mjs";

const server = new Server(null, workerData);
const [gaps, firsts] = [[], []];
let isOver = false;
parentPort.once("message", () => {
  isOver = true;
});
do {
  let last = performance.now();
  let isFirst = true;
  await server.stream(endless(400, { user: "another client" }), {
    onToken: () => {
      const now = performance.now();
      (isFirst ? firsts : gaps).push(now - last);
      [last, isFirst] = [now, false];
    },
  });
} while (!isOver);
parentPort.postMessage({ gaps, firsts });
