/** The list of models: what runs here, downloads, the user's own, and what is stored. */
import type { CheckReason, DeviceCheck, ModelCheck, ModelSize } from "../../src/index.js";
import { measures } from "../state/answer.js";
import { downloads, pauseDownload } from "../state/downloads.js";
import { current, device } from "../state/engine.js";
import { DEMO, isDemo, keyOf } from "../state/model-choice.js";
import { check, interrupted, isPersistent, protect, refreshModels, stored } from "../state/models.js";
import { choose, get } from "../state/session.js";
import { graphicsMemory } from "../state/settings.js";
import { measureId } from "../store/measures.js";
import { words } from "../words/index.js";
import { modelWords } from "../words/models.js";
import { gpuWords } from "../state/device.js";
import { OwnModel } from "./models-own.js";
import { Stored } from "./models-stored.js";

export { DownloadList } from "./downloads.js";
export { HeldCard } from "./held.js";
export { LinkedDialog } from "./linked.js";
export { Interrupted } from "./models-stored.js";

/** Gigabytes to choose from. */
const MEMORY_SIZES = [2, 4, 6, 8, 12, 16, 24];
/** Without a told graphics memory, models that need more than this are listed as larger. */
const LARGE = 4e9;
/** Tokens per second below which an answer is a long wait. */
const SLOW = 2;

export function ModelsList() {
  return (
    <>
      {check.value && <Device check={check.value} />}
      <ul class="cards" id="known" aria-label={modelWords.list}>
        <DemoCard />
        {check.value &&
          sorted(check.value).map((model) => <Card key={model.model.id} check={model} ofDevice={check.value?.reasons ?? []} />)}
      </ul>
      <OwnModel />
      <Stored />
    </>
  );
}

/** The device that models would run on, the room in the browser's storage, and facts that only the user knows. */
function Device({ check: { device, runsOn, freeBytes, reasons } }: { check: DeviceCheck }) {
  const on = runsOn === "gpu" && device !== null && modelWords.runsOn(gpuWords(device.name, device.isSoftware));
  const room = freeBytes === null ? "" : modelWords.room(freeBytes);
  return (
    <div class="device">
      <p id="room" class="fine">
        {on && `${on} `}
        {/* In English in every language. */}
        {reasons.map(({ message }) => (
          <bdi key={message}>{message} </bdi>
        ))}
        {room} <a href="bench.html">{modelWords.test}</a>
      </p>
      <label for="graphics-memory">{modelWords.memory}</label>
      <select
        id="graphics-memory"
        aria-describedby="memory-help"
        value={String(graphicsMemory.value ?? "")}
        onChange={({ currentTarget: { value } }) => {
          graphicsMemory.value = value === "" ? null : Number(value);
          void refreshModels();
        }}
      >
        <option value="">{modelWords.memoryUnknown}</option>
        {MEMORY_SIZES.map((size) => (
          <option key={size} value={size}>
            {modelWords.memoryOf(size, size === MEMORY_SIZES.at(-1))}
          </option>
        ))}
      </select>
      <p class="fine" id="memory-help">
        {modelWords.memoryHelp}
      </p>
      <p class="fine">
        {isPersistent.value ? modelWords.protected : modelWords.unprotected}{" "}
        {!isPersistent.value && (
          <button type="button" class="quiet" onClick={() => void protect()}>
            {modelWords.protect}
          </button>
        )}
      </p>
    </div>
  );
}

/** Stored models that answer, then those that fit, then larger ones; the order of the registry within each group. */
function sorted({ models }: DeviceCheck): ModelCheck[] {
  const rank = (model: ModelCheck) => (model.isStored ? 0 : isLarge(model) ? 2 : 1);
  const answering = models.filter(({ model }) => !model.goodAt.includes("search"));
  return answering.sort((one, other) => rank(one) - rank(other));
}

function isLarge({ fits, gpuMemory }: ModelCheck): boolean {
  return !fits || gpuMemory.all > (graphicsMemory.value === null ? LARGE : 0.8e9 * graphicsMemory.value);
}

function DemoCard() {
  const isUsed = current.value !== null && isDemo(current.value);
  const label = isUsed ? modelWords.inUse : modelWords.use;
  return (
    <li>
      <h3>{modelWords.demoTitle}</h3>
      <p>{modelWords.demoAbout}</p>
      <p class="fine">{modelWords.demoDownload}</p>
      <Speed url={String(DEMO.source)} />
      <button type="button" aria-label={modelWords.of(label, words.models.demo)} disabled={isUsed} onClick={() => void choose(DEMO)}>
        {label}
      </button>
    </li>
  );
}

function Card({ check: found, ofDevice }: { check: ModelCheck; ofDevice: readonly CheckReason[] }) {
  const { model, fits, reasons, isStored, downloadBytes, gpuMemory, loadSeconds, tokensPerSecond } = found;
  const { name, about, license, packageBytes } = model;
  const own = reasons.filter((reason) => !ofDevice.includes(reason));
  /** Bytes, which may be an estimate. */
  const size = (kind: ModelSize, bytes: number) => modelWords.size(bytes, model.estimates?.includes(kind) ?? false);
  return (
    <li>
      <h3>{name}</h3>
      <Badge check={found} />
      <p dir="auto">{about}</p>
      <ul class="facts">
        <li>{modelWords.licence(license)}</li>
        <li>
          {isStored
            ? modelWords.downloaded
            : modelWords.download(downloadBytes === null ? null : size("downloadBytes", downloadBytes), loadSeconds.first)}
        </li>
        <li>{modelWords.takes(size("packageBytes", packageBytes))}</li>
        <li>{modelWords.needs(size("gpuMemory", gpuMemory.least), modelWords.size(gpuMemory.all, false), tokensPerSecond !== null)}</li>
      </ul>
      <Speed url={stored.value.find((entry) => entry.name === name)?.url ?? ""} />
      {own.map(({ code, message }) => (
        <p class="unfit" key={code} dir="auto">
          {message}
        </p>
      ))}
      {fits && own.length === 0 && (
        <p class="fine">
          {tokensPerSecond === null ? modelWords.fits(gpuMemory.all) : modelWords.onProcessor(tokensPerSecond, tokensPerSecond < SLOW)}
        </p>
      )}
      <Act check={found} />
    </li>
  );
}

function Badge({ check: found }: { check: ModelCheck }) {
  const text = found.isStored ? modelWords.onDevice : isLarge(found) ? modelWords.larger : "";
  return text ? <p class="badge">{text}</p> : null;
}

/** Downloads, pauses, resumes or uses a model. */
function Act({ check: { model, fits, isStored, downloadBytes } }: { check: ModelCheck }) {
  const { name, source } = model;
  const active = downloads.value.get(keyOf(source));
  const isActive = active?.state === "running" || active?.state === "queued";
  const isUsed = current.value?.name === name;
  const isBegun = active !== undefined || interrupted.value.some((entry) => keyOf(entry.source) === keyOf(source));
  const label = isUsed
    ? modelWords.inUse
    : isStored
      ? modelWords.use
      : isActive
        ? words.models.pause
        : isBegun
          ? words.models.resume
          : modelWords.get(downloadBytes);
  const act = () => {
    if (isActive) pauseDownload(source);
    else if (isStored) void choose({ name, source });
    else void get({ name, source });
  };
  return (
    <button type="button" aria-label={modelWords.of(label, name)} disabled={isUsed || (!fits && !isActive)} onClick={act}>
      {label}
    </button>
  );
}

/** Speed of a model that has answered on this device. */
function Speed({ url }: { url: string }) {
  const measure = measures.value.get(measureId(url, device.value?.name ?? ""));
  return measure ? <p class="fine speed">{modelWords.speedMeasured(measure.tokensPerSecond)}</p> : null;
}
