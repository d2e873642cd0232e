// A burst of requests, so that one sees what the service does under load.
//
// A patient burst is lists of inputs: each input waits for room, and gets an answer even if the worker that has it
// dies. An impatient one has little time: the service refuses at once what it cannot do until then.

import { ScorelineError } from '../../../client/client.js';
import type { Input } from '../../../client/inputs.js';
import { fetchSample, type ModelInfo, type Service } from './service.js';
import { sleep } from './sleep.js';

export interface Tally {
  readonly count: number;
  answered: number;
  /** Refused at once, because there was no room. */
  refused: number;
  /** Let in, but not in time. */
  late: number;
  failed: number;
}

export interface Burst {
  readonly model: ModelInfo;
  readonly count: number;
  readonly isPatient: boolean;
  readonly signal: AbortSignal;
  readonly onTally: (tally: Tally) => void;
}

/** A browser has no more connections to a service at a time. */
const lanes = 6;
const patienceMs = 1500;
const picturesMax = 16;
const rowsMax = 256;
const retryMs = 500;
const attemptsMax = 60;

export async function sendBurst(service: Service, burst: Burst): Promise<Tally> {
  const { model, count } = burst;
  const tally: Tally = { count, answered: 0, refused: 0, late: 0, failed: 0 };
  const inputs = await inputsFor(model);
  const send = burst.isPatient ? sendPatiently : sendImpatiently;
  await send(service, burst, { tally, inputs });
  return tally;
}

/** What a burst sends, over and over: the examples, or a picture. */
async function inputsFor({ input, examples }: ModelInfo): Promise<readonly Input[]> {
  if (input.kind === 'image') return [await fetchSample('cat.jpg')];
  const [first = 'a text', ...rest] = examples as readonly Input[];
  return [first, ...rest];
}

/** Whether a burst can be made for a model. */
export function takesBursts({ input, network, examples }: ModelInfo, isPatient: boolean): boolean {
  if (input.kind === 'image') return true;
  if (input.kind === 'text') return isPatient || network?.inputs.length === 1;
  return isPatient && input.kind === 'table' && examples.length > 0;
}

interface Sending {
  readonly tally: Tally;
  readonly inputs: readonly Input[];
}

async function sendPatiently(
  service: Service,
  { model, count, signal, onTally }: Burst,
  { tally, inputs }: Sending,
): Promise<void> {
  const values = await Promise.all(inputs.map(toJson));
  const size = model.input.kind === 'image' ? 16 : 64;
  await inLanes(Math.ceil(count / size), signal, async (at) => {
    const length = Math.min(size, count - at * size);
    const list = Array.from({ length }, (_, index) => values[(at * size + index) % values.length]);
    try {
      const { results } = await askList(service, model, { list, signal });
      const faulty = results.filter(({ problem }) => problem !== undefined).length;
      tally.failed += faulty;
      tally.answered += length - faulty;
    } catch (thrown) {
      if (signal.aborted) return;
      console.warn(thrown);
      tally.failed += length;
    }
    onTally(tally);
  });
}

/** A list is refused as a whole if there is no room for its first input, and is sent again. */
async function askList(
  service: Service,
  { name, version }: ModelInfo,
  { list, signal }: { list: readonly unknown[]; signal: AbortSignal },
): Promise<{ results: readonly { readonly problem?: unknown }[] }> {
  const path = `v1/models/${encodeURIComponent(name)}/versions/${encodeURIComponent(version)}/score`;
  const body = JSON.stringify({ inputs: list });
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await service.ask(path, { method: 'POST', body, signal });
    } catch (thrown) {
      const isBusy = thrown instanceof ScorelineError && [429, 503].includes(thrown.status ?? 0);
      if (!isBusy || attempt === attemptsMax) throw thrown;
      await sleep(retryMs, signal);
    }
  }
}

async function toJson(input: Input): Promise<unknown> {
  if (!(input instanceof Blob)) return input;
  const bytes = new Uint8Array(await input.arrayBuffer());
  const base64 = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
  return { burst: base64 };
}

/** Requests with several inputs each, so six connections are enough to ask for too much. */
async function sendImpatiently(
  service: Service,
  { model, count, signal, onTally }: Burst,
  { tally, inputs }: Sending,
): Promise<void> {
  const values = await Promise.all(inputs.map(toJson));
  const { path, size, write } = packetOf(model);
  await inLanes(Math.ceil(count / size), signal, async (at) => {
    const length = Math.min(size, count - at * size);
    const packet = Array.from({ length }, (_, index) => values[index % values.length]);
    try {
      await service.ask(path, { method: 'POST', body: JSON.stringify(write(packet)), signal });
      tally.answered += length;
    } catch (thrown) {
      if (signal.aborted) return;
      tally[outcomeOf(thrown)] += length;
    }
    onTally(tally);
  });
}

function outcomeOf(thrown: unknown): 'refused' | 'late' | 'failed' {
  const status = thrown instanceof ScorelineError ? thrown.status : undefined;
  return ({ 429: 'refused', 504: 'late' } as const)[status as 429] ?? 'failed';
}

interface Packet {
  readonly path: string;
  /** The most inputs in one. */
  readonly size: number;
  readonly write: (values: readonly unknown[]) => object;
}

/** How a model takes several inputs in a request that is let in or refused as a whole. */
function packetOf({ name, version, input, network }: ModelInfo): Packet {
  if (input.kind === 'image') {
    return {
      path: `score?model=${encodeURIComponent(name)}&deadlineMs=${patienceMs}`,
      size: picturesMax,
      write: (values) => ({ input: Object.assign({}, ...values.map(numbered)) }),
    };
  }
  const [declared] = network?.inputs ?? [];
  return {
    path: `v2/models/${encodeURIComponent(name)}/versions/${encodeURIComponent(version)}/infer?deadlineMs=${patienceMs}`,
    size: rowsMax,
    write: (data) => ({
      inputs: [{ name: declared?.name, datatype: 'BYTES', shape: [data.length], data }],
    }),
  };
}

function numbered(picture: unknown, at: number): object {
  return { [`picture ${at}`]: Object.values(picture as object)[0] };
}

/** Does all of it, some at a time. */
async function inLanes(
  count: number,
  signal: AbortSignal,
  each: (at: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const goOn = async () => {
    while (next < count && !signal.aborted) {
      next += 1;
      await each(next - 1);
    }
  };
  await Promise.all(Array.from({ length: Math.min(lanes, count) }, goOn));
}
