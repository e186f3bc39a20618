/**
 * Simulates what a site with many users downloads, and how long clients of one server wait. Nothing is measured: rates are those of
 * docs/performance.md, sizes those of the list of known models. `node benches/scale.mjs` prints the tables of docs/scale.md.
 */
import { readFileSync } from "node:fs";

const models = JSON.parse(readFileSync(new URL("../www/src/api/models.json", import.meta.url), "utf8"));

/** Random numbers that are the same each time (mulberry32). */
function random(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A time with this mean until the next of independent events. */
function gap(draw, mean) {
  return -mean * Math.log(1 - draw());
}

/**
 * Downloads of a package by a user on average in a year, and the share of visits that find it stored. Days between visits are random;
 * after `kept` days without a visit the browser has deleted it; every `renewed` days there is a new version, which is downloaded whole.
 */
export function downloads({ between, kept, renewed, users = 20_000, days = 365 }) {
  const draw = random(1);
  let [loaded, visits] = [0, 0];
  for (let user = 0; user < users; user += 1) {
    let [last, version] = [-Infinity, -1];
    for (let day = gap(draw, between); day < days; day += gap(draw, between)) {
      const current = Math.floor(day / renewed);
      if (day - last > kept || version !== current) loaded += 1;
      [last, version] = [day, current];
      visits += 1;
    }
  }
  return { loads: loaded / users, hits: 1 - loaded / visits };
}

/**
 * Seconds until the first token for clients that ask, read the answer and think, each on its own. A picture is encoded and its prompt
 * computed for one request after another, in the order of arrival; then at most `atOnce` answers share each step.
 */
export function waits({ clients, think, first, token, tokens = 100, atOnce = 8, requests = 4_000 }) {
  const draw = random(2);
  const asks = Array.from({ length: clients }, () => gap(draw, think)).sort((a, b) => a - b);
  const [found, active] = [[], []];
  let now = 0;
  while (found.length < requests) {
    if (active.length === 0) now = Math.max(now, asks[0]);
    if (asks[0] <= now && active.length < atOnce) {
      const asked = asks.shift();
      now += first;
      found.push(now - asked);
      active.push(tokens - 1);
      continue;
    }
    now += token * (1 + STEP * (active.length - 1));
    for (let index = active.length - 1; index >= 0; index -= 1) {
      active[index] -= 1;
      if (active[index] === 0) {
        active.splice(index, 1);
        insert(asks, now + gap(draw, think));
      }
    }
  }
  // The first ones find an empty server.
  const settled = found.slice(requests / 4).sort((a, b) => a - b);
  return (share) => settled[Math.floor(share * (settled.length - 1))];
}

/** Additional time of a step for each further answer: bytes of a step, "Several answers at once" in docs/performance.md. */
const STEP = (2_704_835_136 / 1_941_471_744 - 1) / 7;

function insert(sorted, value) {
  const index = sorted.findIndex((other) => other > value);
  sorted.splice(index < 0 ? sorted.length : index, 0, value);
}

/** Most clients of which 19 of 20 requests have their first token within `limit` seconds; 0 if a single one waits longer. */
export function most(server, limit) {
  let [low, high] = [0, 4_096];
  while (high - low > 1) {
    const clients = (low + high) >> 1;
    if (waits({ ...server, clients })(0.95) <= limit) low = clients;
    else high = clients;
  }
  return low;
}

/** Rates of servers by docs/performance.md, in seconds. */
const SERVERS = [
  ["H200, 3B of 4.5 bits, picture of 448 x 448", { first: 0.1589, token: 0.0026 }],
  ["H200, 3B of 4.5 bits, picture of 1036 x 1036", { first: 0.743, token: 0.0026 }],
  ["two cores with AVX-512, model of 119 MB, picture of 448 x 448", { first: 1.755, token: 0.0143 }],
];
const VISITS = [1, 7, 30, 90];
const SHOWN = ["smolvlm2-256m", "smolvlm2-500m", "qwen3.5-0.8b", "qwen3-vl-2b-instruct", "ministral-3-3b-instruct-2512"];

function table(head, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(head), `|${"---|".repeat(head.length)}`, ...rows.map(line)].join("\n");
}

/** The tables of docs/scale.md. */
export function tables() {
  const keeps = [
    ["never", { kept: Infinity, renewed: 365 }],
    ["never, a new version each quarter", { kept: Infinity, renewed: 91.25 }],
    ["after 7 days without a visit", { kept: 7, renewed: 365 }],
    ["after 7 days, a new version each quarter", { kept: 7, renewed: 91.25 }],
  ];
  const cell = ({ loads, hits }) => `${loads.toFixed(1)} (${Math.round(100 * hits)} %)`;
  const byVisits = keeps.map(([name, options]) => [name, ...VISITS.map((between) => cell(downloads({ between, ...options })))]);
  const petabytes = SHOWN.map((id) => {
    const { packageBytes } = models.find((model) => model.id === id);
    const once = packageBytes / 1e9;
    const weekly = downloads({ between: 7, kept: 7, renewed: 91.25 }).loads;
    return [id, `${once.toFixed(2)} GB`, `${once.toFixed(2)} PB`, `${(weekly * once).toFixed(1)} PB`, `${(weekly * once * 10).toFixed(0)},000`];
  });
  const clients = SERVERS.map(([name, server]) => [name, ...[1, 2, 10].map((limit) => most({ ...server, think: 60 }, limit))]);
  return [
    table(["the package is deleted", ...VISITS.map((days) => `a visit in ${days === 1 ? "a day" : `${days} days`}`)], byVisits),
    table(["model", "package", "a million users, once", "a year of weekly visits, kept 7 days, four versions", "at 0.01 a GB"], petabytes),
    table(["server", "within 1 s", "within 2 s", "within 10 s"], clients),
  ];
}

if (process.argv[1]?.endsWith("scale.mjs")) console.log(tables().join("\n\n"));
