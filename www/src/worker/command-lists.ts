/**
 * Lists of commands, which one call from wasm submits. wgpu encodes each command with several calls; a recording that
 * is submitted again and again is encoded once into an encoder that only remembers.
 */

type Copy = [source: object, from: number, target: object, to: number, bytes: number];
interface Pass {
  setPipeline(pipeline: object): void;
  setBindGroup(index: number, group: object): void;
  dispatchWorkgroups(x: number, y: number, z: number): void;
  end(): void;
}
interface Encoder {
  /** wgpu reads it. */
  readonly label: string;
  beginComputePass(descriptor: object): Pass;
  copyBufferToBuffer(...copy: Copy): void;
  finish(): object;
}
/** The part of WebGPU that is used here. */
export interface ListedDevice {
  createCommandEncoder(descriptor: object): Encoder;
  readonly queue: { submit(commands: object[]): void };
}
/** Encodes one command or pass. */
type Command = (encoder: Encoder) => void;
/** Encodes and submits on one device. */
type Submit = (encode: (encoder: Encoder) => void) => void;

const lists = new Map<number, { submit: Submit; commands: Command[] }>();
let made = 0;
/** The commands of the encoder that remembers, if there is one. */
let recording: Command[] | null = null;
let submitNow: Submit = () => undefined;

/** Makes new lists lists of `device`. */
export function listFor(device: ListedDevice): void {
  const createEncoder = device.createCommandEncoder.bind(device);
  submitNow = (encode) => {
    const encoder = createEncoder({});
    encode(encoder);
    device.queue.submit([encoder.finish()]);
  };
  device.createCommandEncoder = (descriptor) => (recording ? remembering(recording) : createEncoder(descriptor));
}

/** See `BrowserDevice` of the engine. */
export const commandLists = {
  record: (): void => void (recording = []),
  recorded(): number {
    lists.set(++made, { submit: submitNow, commands: recording ?? [] });
    recording = null;
    return made;
  },
  submit(numbers: Uint32Array, source: object | undefined, offset: number, target: object | undefined, bytes: number): void {
    const submitted = [...numbers].flatMap((number) => lists.get(number) ?? []);
    // A list that outlived its device must not reach the next one.
    const submit = submitted[0]?.submit ?? submitNow;
    submit((encoder) => {
      for (const { commands } of submitted) for (const command of commands) command(encoder);
      if (source && target) encoder.copyBufferToBuffer(source, offset, target, 0, bytes);
    });
  },
  forget: (number: number): void => void lists.delete(number),
};

/** An encoder that appends to `commands` what it should encode. */
function remembering(commands: Command[]): Encoder {
  return {
    label: "",
    beginComputePass(descriptor) {
      const launches: ((pass: Pass) => void)[] = [];
      commands.push((encoder) => {
        const pass = encoder.beginComputePass(descriptor);
        for (const launch of launches) launch(pass);
        pass.end();
      });
      return {
        setPipeline: (pipeline) => void launches.push((pass) => pass.setPipeline(pipeline)),
        setBindGroup: (index, group) => void launches.push((pass) => pass.setBindGroup(index, group)),
        dispatchWorkgroups: (...grid) => void launches.push((pass) => pass.dispatchWorkgroups(...grid)),
        end: () => undefined,
      };
    },
    copyBufferToBuffer: (...copy) => void commands.push((encoder) => encoder.copyBufferToBuffer(...copy)),
    finish: () => ({}),
  };
}
