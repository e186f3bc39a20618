/** Dialogs that take a picture: of a camera, and out of a video. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { cameras, startCamera, stopCamera, type Camera, type CameraFault, type CameraName } from "../pictures/capture-camera.js";
import { frameOf } from "../pictures/pixels.js";
import { closeDialog } from "../state/dialog.js";
import { addFiles } from "../state/session.js";
import { lookWords } from "../words/looks.js";
import { Modal } from "./modal.js";

/** A camera of a hidden page is switched off after this time. */
const HIDDEN_MS = 30_000;

type CameraState = "starting" | "ended" | "hidden" | CameraFault | Camera;

/** The camera of the dialog. It is switched off when the dialog is closed, when the page is left, and when it is hidden for long. */
function useCamera(): { state: CameraState; names: readonly CameraName[]; start: (id: string | null) => void } {
  const [state, setState] = useState<CameraState>("starting");
  const [names, setNames] = useState<readonly CameraName[]>([]);
  const current = useRef<Camera | null>(null);
  const isClosed = useRef(false);
  const stop = useCallback(() => {
    if (current.current) stopCamera(current.current);
    current.current = null;
  }, []);
  const start = useCallback(
    (id: string | null) => {
      stop();
      setState("starting");
      void startCamera(id).then(async (camera) => {
        if (typeof camera !== "string") {
          if (isClosed.current) return stopCamera(camera);
          current.current = camera;
          camera.stream.getVideoTracks()[0]?.addEventListener("ended", () => setState("ended"));
          setNames(await cameras());
        }
        setState(camera);
      });
    },
    [stop],
  );
  useEffect(() => {
    let timer = 0;
    const onHidden = () => {
      clearTimeout(timer);
      if (!document.hidden || !current.current) return;
      timer = window.setTimeout(() => {
        stop();
        setState("hidden");
      }, HIDDEN_MS);
    };
    start(null);
    addEventListener("pagehide", stop);
    document.addEventListener("visibilitychange", onHidden);
    return () => {
      isClosed.current = true;
      clearTimeout(timer);
      stop();
      removeEventListener("pagehide", stop);
      document.removeEventListener("visibilitychange", onHidden);
    };
  }, [start, stop]);
  return { state, names, start };
}

export function CameraDialog() {
  const { state, names, start } = useCamera();
  const [taken, setTaken] = useState<File | null>(null);
  const video = useRef<HTMLVideoElement>(null);
  const isLive = typeof state !== "string";
  const show = (element: HTMLVideoElement | null) => {
    video.current = element;
    if (element && isLive && element.srcObject !== state.stream) element.srcObject = state.stream;
  };
  const take = () => {
    if (video.current && video.current.videoWidth > 0) void frameOf(video.current, lookWords.capture.file).then(setTaken);
  };
  const use = (file: File) => {
    closeDialog();
    addFiles([file]);
  };
  return (
    <Modal id="camera-dialog" heading={lookWords.capture.camera} isWide>
      {taken ? (
        <Taken file={taken} />
      ) : isLive ? (
        <video id="camera-live" ref={show} autoplay muted playsinline aria-label={lookWords.capture.live} />
      ) : (
        <p role="status" id="camera-told">
          {state === "starting" ? lookWords.capture.starting : lookWords.capture[state]}
        </p>
      )}
      <div class="choices">
        {taken ? (
          <>
            <button type="button" class="primary" id="camera-use" onClick={() => use(taken)}>
              {lookWords.capture.use}
            </button>
            <button type="button" id="camera-again" onClick={() => setTaken(null)}>
              {lookWords.capture.again}
            </button>
          </>
        ) : isLive ? (
          <button type="button" class="primary" id="camera-take" onClick={take}>
            {lookWords.capture.take}
          </button>
        ) : (
          state !== "starting" && (
            <button type="button" id="camera-restart" onClick={() => start(null)}>
              {lookWords.capture.restart}
            </button>
          )
        )}
        {isLive && !taken && names.length > 1 && (
          <select
            id="camera-choice"
            aria-label={lookWords.capture.choose}
            value={state.id}
            onChange={(event) => start(event.currentTarget.value)}
          >
            {names.map(({ id, label }, index) => (
              <option key={id} value={id}>
                {label || lookWords.capture.unnamed(index + 1)}
              </option>
            ))}
          </select>
        )}
      </div>
    </Modal>
  );
}

/** An address of a file that is valid as long as it is shown. */
function useAddress(file: File): string | undefined {
  const [address, setAddress] = useState<string>();
  useEffect(() => {
    const made = URL.createObjectURL(file);
    setAddress(made);
    return () => URL.revokeObjectURL(made);
  }, [file]);
  return address;
}

function Taken({ file }: { file: File }) {
  return <img src={useAddress(file)} alt={lookWords.capture.taken} />;
}

export function VideoDialog({ file }: { file: File }) {
  const video = useRef<HTMLVideoElement>(null);
  const [seconds, setSeconds] = useState<number | null>(null);
  const [at, setAt] = useState(0);
  const [isBroken, setBroken] = useState(false);
  const address = useAddress(file);
  const take = () => {
    if (!video.current) return;
    void frameOf(video.current, file.name).then((frame) => {
      closeDialog();
      addFiles([frame]);
    });
  };
  return (
    <Modal id="video-dialog" heading={lookWords.capture.video} isWide>
      {isBroken ? (
        <p role="alert">{lookWords.capture.noVideo}</p>
      ) : (
        <>
          <video
            ref={video}
            src={address}
            muted
            playsinline
            preload="auto"
            aria-label={file.name}
            onLoadedData={({ currentTarget }) => setSeconds(currentTarget.duration)}
            onError={() => setBroken(true)}
          />
          <label>
            {lookWords.capture.position}
            <input
              type="range"
              id="video-position"
              min={0}
              max={seconds ?? 0}
              step={0.04}
              value={at}
              disabled={seconds === null}
              onInput={(event) => {
                setAt(Number(event.currentTarget.value));
                if (video.current) video.current.currentTime = Number(event.currentTarget.value);
              }}
            />
          </label>
          <div class="choices">
            <button type="button" class="primary" id="video-take" disabled={seconds === null} onClick={take}>
              {lookWords.capture.frame}
            </button>
          </div>
        </>
      )}
    </Modal>
  );
}
