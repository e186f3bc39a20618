/** Models: what runs here, downloads, the user's own, and what is stored. */
import { useEffect } from "preact/hooks";
import type { CheckReason, DeviceCheck, ModelCheck, ModelSize } from "../../src/index.js";
import { measures } from "../state/answer.js";
import { downloads, pauseDownload } from "../state/downloads.js";
import { current, device, loading } from "../state/engine.js";
import { DEMO, isDemo, keyOf } from "../state/model-choice.js";
import { check, interrupted, isPersistent, protect, refreshModels, stored } from "../state/models.js";
import { route } from "../state/route.js";
import { choose, get, showModels } from "../state/session.js";
import { graphicsMemory, longestAnswer } from "../state/settings.js";
import { measureId } from "../store/measures.js";
import { words } from "../words/index.js";
import { gpuWords } from "./device.js";
import { OwnModel } from "./models-own.js";
import { Stored } from "./models-stored.js";

/** Gigabytes to choose from. */
const MEMORY_SIZES = [2, 4, 6, 8, 12, 16, 24];
/** Tokens of the longest answer to choose from. */
const ANSWER_SIZES = [256, 1024, 4096];
/** Without a told graphics memory, models that need more than this are listed as larger. */
const LARGE = 4e9;
/** Tokens per second below which an answer is a long wait. */
const SLOW = 2;

export function Models() {
  const isOpen = route.value.view === "models";
  const choice = loading.value && !current.value ? loading.value.choice : (current.value ?? DEMO);
  useEffect(() => {
    if (isOpen) void refreshModels();
  }, [isOpen]);
  return (
    <details class="models" id="models" open={isOpen}>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: a summary is a control of its own. */}
      <summary
        id="models-summary"
        onClick={(event) => {
          // The address decides, so that the browser's way back closes it.
          event.preventDefault();
          showModels(!isOpen);
        }}
      >
        <h2 id="models-heading">
          {words.models.heading}
          <span id="model-name">{choice.name}</span>
        </h2>
        <span class="change">{words.models.change}</span>
      </summary>
      {check.value && <Device check={check.value} />}
      <ul class="cards" id="known" aria-label={words.models.list}>
        <DemoCard />
        {check.value &&
          sorted(check.value).map((model) => <Card key={model.model.id} check={model} ofDevice={check.value?.reasons ?? []} />)}
      </ul>
      <OwnModel />
      <Stored />
    </details>
  );
}

/** The device that models would run on, the room in the browser's storage, and facts that only the user knows. */
function Device({ check: { device, runsOn, freeBytes, reasons } }: { check: DeviceCheck }) {
  const { models } = words;
  const on = runsOn === "gpu" && device !== null && models.runsOn(gpuWords(device.name, device.isSoftware));
  const room = freeBytes === null ? "" : models.room(freeBytes);
  return (
    <div class="device">
      <p id="room" class="fine">
        {[on, ...reasons.map(({ message }) => message), room].filter(Boolean).join(" ")} <a href="bench.html">{models.test}</a>
      </p>
      <label for="graphics-memory">{models.memory}</label>
      <select
        id="graphics-memory"
        aria-describedby="memory-help"
        value={String(graphicsMemory.value ?? "")}
        onChange={({ currentTarget: { value } }) => {
          graphicsMemory.value = value === "" ? null : Number(value);
          void refreshModels();
        }}
      >
        <option value="">{models.memoryUnknown}</option>
        {MEMORY_SIZES.map((size) => (
          <option key={size} value={size}>
            {models.memoryOf(size, size === MEMORY_SIZES.at(-1))}
          </option>
        ))}
      </select>
      <p class="fine" id="memory-help">
        {models.memoryHelp}
      </p>
      <label for="longest-answer">{models.longest}</label>
      <select
        id="longest-answer"
        value={String(longestAnswer.value ?? "")}
        onChange={({ currentTarget: { value } }) => {
          longestAnswer.value = value === "" ? null : Number(value);
        }}
      >
        <option value="">{models.longestOwn}</option>
        {ANSWER_SIZES.map((size) => (
          <option key={size} value={size}>
            {models.longestOf(size)}
          </option>
        ))}
      </select>
      <p class="fine">
        {isPersistent.value ? models.protected : models.unprotected}{" "}
        {!isPersistent.value && (
          <button type="button" class="quiet" onClick={() => void protect()}>
            {models.protect}
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
  const label = isUsed ? words.models.inUse : words.models.use;
  return (
    <li>
      <h3>{words.models.demoTitle}</h3>
      <p>{words.models.demoAbout}</p>
      <p class="fine">{words.models.demoDownload}</p>
      <Speed url={String(DEMO.source)} />
      <button type="button" aria-label={words.models.of(label, words.models.demo)} disabled={isUsed} onClick={() => void choose(DEMO)}>
        {label}
      </button>
    </li>
  );
}

function Card({ check: found, ofDevice }: { check: ModelCheck; ofDevice: readonly CheckReason[] }) {
  const { model, fits, reasons, isStored, downloadBytes, gpuMemory, loadSeconds, tokensPerSecond, alternatives } = found;
  const { name, about, license, packageBytes } = model;
  const own = reasons.filter((reason) => !ofDevice.includes(reason));
  /** Bytes, which may be an estimate. */
  const size = (kind: ModelSize, bytes: number) => words.models.size(bytes, model.estimates?.includes(kind) ?? false);
  return (
    <li>
      <h3>{name}</h3>
      <Badge check={found} />
      <p>{about}</p>
      <ul class="facts">
        <li>{words.models.licence(license)}</li>
        <li>
          {isStored
            ? words.models.downloaded
            : words.models.download(downloadBytes === null ? null : size("downloadBytes", downloadBytes), loadSeconds.first)}
        </li>
        <li>{words.models.takes(size("packageBytes", packageBytes))}</li>
        <li>{words.models.needs(size("gpuMemory", gpuMemory.least), words.models.size(gpuMemory.all, false), tokensPerSecond !== null)}</li>
      </ul>
      <Speed url={stored.value.find((entry) => entry.name === name)?.url ?? ""} />
      {own.map(({ code, message }) => (
        <p class="unfit" key={code}>
          {message}
        </p>
      ))}
      {!fits && alternatives.length > 0 && <p class="fine">{words.models.theseFit(alternatives.join(", "))}</p>}
      {fits && own.length === 0 && (
        <p class="fine">
          {tokensPerSecond === null ? words.models.fits(gpuMemory.all) : words.models.onProcessor(tokensPerSecond, tokensPerSecond < SLOW)}
        </p>
      )}
      <Act check={found} />
    </li>
  );
}

function Badge({ check: found }: { check: ModelCheck }) {
  const text = found.isStored ? words.models.onDevice : isLarge(found) ? words.models.larger : "";
  return text ? <p class="badge">{text}</p> : null;
}

/** Downloads, pauses, resumes or uses a model. */
function Act({ check: { model, fits, isStored, downloadBytes } }: { check: ModelCheck }) {
  const { name, source } = model;
  const active = downloads.value.get(keyOf(source));
  const isActive = active?.state === "running" || active?.state === "queued";
  const isUsed = current.value?.name === name;
  const isBegun = active !== undefined || interrupted.value.some((entry) => keyOf(entry.source) === keyOf(source));
  const { models } = words;
  const label = isUsed
    ? models.inUse
    : isStored
      ? models.use
      : isActive
        ? models.pause
        : isBegun
          ? models.resume
          : models.get(downloadBytes);
  const act = () => {
    if (isActive) pauseDownload(source);
    else if (isStored) void choose({ name, source });
    else void get({ name, source });
  };
  return (
    <button type="button" aria-label={models.of(label, name)} disabled={isUsed || (!fits && !isActive)} onClick={act}>
      {label}
    </button>
  );
}

/** Speed of a model that has answered on this device. */
function Speed({ url }: { url: string }) {
  const measure = measures.value.get(measureId(url, device.value?.name ?? ""));
  return measure ? <p class="fine speed">{words.models.speedMeasured(measure.tokensPerSecond)}</p> : null;
}
