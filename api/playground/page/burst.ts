// A burst of requests, so that one sees what the service does under load.
//
// A patient burst is lists of inputs: each input waits for room, and gets an answer even if the worker that has it
// dies. An impatient one is jobs that may wait two seconds each: the service refuses at once what it cannot do in time.

import { ScorelineError } from '../../../client/client.js';
import type { Input } from '../../../client/inputs.js';
import { type ModelInfo, type Service, serviceUrl } from './service.js';
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
const patienceMs = 2000;
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
  if (input.kind === 'image')
    return [await (await fetch(`${serviceUrl}playground/cat.jpg`)).blob()];
  const [first = 'a text', ...rest] = examples as readonly Input[];
  return [first, ...rest];
}

/** Whether a burst can be made for a model. */
export function takesBursts({ input, examples }: ModelInfo): boolean {
  return input.kind !== 'tensors' && (input.kind !== 'table' || examples.length > 0);
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

async function sendImpatiently(
  service: Service,
  { model, count, signal, onTally }: Burst,
  { tally, inputs }: Sending,
): Promise<void> {
  const { client } = service;
  const pending = new Set<string>();
  const { name, version } = model;
  const options = {
    version,
    signal,
    retries: 0,
    deadlineMs: patienceMs,
    idempotencyKey: false,
  } as const;
  await inLanes(count, signal, async (at) => {
    try {
      const { id } = await client.submit(name, inputs[at % inputs.length] as Input, options);
      pending.add(id);
    } catch (thrown) {
      if (signal.aborted) return;
      const isRefused = thrown instanceof ScorelineError && thrown.status === 429;
      tally[isRefused ? 'refused' : 'failed'] += 1;
    }
    if (at % 20 === 0) onTally(tally);
  });
  while (pending.size > 0 && !signal.aborted) {
    await readEnds(service, { name, pending, tally, signal });
    onTally(tally);
    if (pending.size > 0) await sleep(retryMs, signal);
  }
}

/** Counts the jobs that have ended, from the list of the caller's jobs. */
async function readEnds(
  { client }: Service,
  {
    name,
    pending,
    tally,
    signal,
  }: { name: string; pending: Set<string>; tally: Tally; signal: AbortSignal },
): Promise<void> {
  let after: string | undefined;
  let rest = pending.size;
  do {
    const { jobs, next } = await client.jobs({ model: name, after, signal });
    for (const { id, state } of jobs) {
      if (!pending.has(id)) continue;
      rest -= 1;
      if (state === 'queued' || state === 'running') continue;
      pending.delete(id);
      tally[
        ({ succeeded: 'answered', expired: 'late' } as const)[state as 'expired'] ?? 'failed'
      ] += 1;
    }
    after = next;
  } while (after !== undefined && rest > 0);
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
