// The routes of the native contract: scoring by model, and the list of models.

import type { Express, Request, Response } from 'express';
import { errorTable, ScorelineError } from '../../../shared/errors.js';
import { type HeadOutput, scoresClasses, topOf } from '../../../shared/manifest/output.js';
import type { Model } from '../../../shared/registry/models.js';
import type { Registry } from '../../../shared/registry/registry.js';
import { shareIn } from '../../../shared/registry/traffic.js';
import { shown } from '../../../shared/shown.js';
import type { OutputWish } from '../../../shared/wire/job.js';
import { catalogueOf } from '../../access/caller.js';
import type { Call } from '../../call/call.js';
import { writeNativeAnswer } from '../../kinds/answers.js';
import type { RawInput } from '../../kinds/kind.js';
import { type InputKinds, kindsOf, readFile, readInput } from '../../kinds/kinds.js';
import type { Queue } from '../../queue/queue.js';
import type { Scoring } from '../../scoring.js';
import type { Arrived } from '../../several-inputs/several-inputs.js';
import type { Rollout, Waiting } from '../../versions/rollout.js';
import type { Shadows } from '../../versions/shadows.js';
import { sendCompressed } from '../answers/compression.js';
import { sendJsonText } from '../answers/json.js';
import {
  applyParameters,
  asObject,
  type Body,
  lacksInput,
  quoteKeys,
  type ReadBody,
  refuseUnknown,
} from '../body/body.js';
import { wantsLines } from '../body/lines.js';
import { callerOf } from '../gate/gate.js';
import { allow } from '../gate/methods.js';
import { needs } from '../gate/needs.js';
import { type Given, queryOf, readWish, withQuery } from '../parameters/parameters.js';
import type { ListsAndStreams } from './lists-and-streams.js';
import { addressesOf, addScoreRoute, type ScoreHandler, type ScoreRoute } from './score-route.js';

/** Scores the inputs of a request for the model of its call: one, or several (lists-and-streams.ts). */
export function makeScoreNative(options: {
  kinds: InputKinds;
  scoring: Scoring;
  listsAndStreams: ListsAndStreams;
  readAny: ReadBody;
}): ScoreHandler {
  const { kinds, scoring, listsAndStreams, readAny } = options;

  /** Reads what a request asks for. Once its inputs are prepared, nothing has its body any more. */
  const readAsked = async (call: Call, request: Request, response: Response): Promise<Asked> => {
    const { model } = call;
    const query = queryOf(request);
    // What is wrong there is refused, though the body may have another one, which counts.
    if (query.top !== undefined) readWish(query, model);
    const body = await readAny(call, request, response);
    if (body.type === 'bytes') checkMediaType(request, kinds, model);
    const { inputs, isList, given } = readBodyInputs(body, { kinds, listsAndStreams, model });
    if (body.type !== 'bytes') refuseUnknown(given, body.type);
    const wish = readWish(withQuery(given, query), model);
    applyParameters(call, given);
    if (!isList && !wantsLines(request)) return { wish, inputs: inputs.map(({ read }) => read()) };
    const list = inputs.map(({ name, read }) => ({
      name,
      read: () => ({ input: read(), wish }),
    }));
    return { wish, inputs: [], list };
  };

  return async (call, request, response) => {
    const { model } = call;
    // Refuses a request to a model of tensors before its body is read.
    kindsOf(kinds, model);
    if (call.isStream) return listsAndStreams.scoreStream(call, { request, response });
    const { wish, inputs, list } = await readAsked(call, request, response);
    if (list) return listsAndStreams.scoreList(call, list, { request, response });
    call.deferral?.writeAs({ route: 'native' });
    const [reply] = await scoring.score(call, inputs, wish);
    if (!reply) throw new Error('One input has one reply. This is a bug.');
    const answer = writeNativeAnswer(kinds, model, reply);
    const { kind } = model.manifest.output;
    if (kind !== 'tensors' && kind !== 'json') return sendJsonText(response, answer);
    // Masks and what programs write are long, and repeat themselves.
    return sendCompressed(response, answer, { 'Content-Type': 'application/json; charset=utf-8' });
  };
}

/** What a request asks for: the answer to one input, or to a list of them. */
interface Asked {
  readonly wish: OutputWish;
  readonly inputs: RawInput[];
  readonly list?: Arrived[];
}

export function addModelRoutes(
  app: Express,
  options: ScoreRoute & {
    queue: Pick<Queue, 'countWorkers' | 'readCounts' | 'unansweredIn'>;
    rollout: Pick<Rollout, 'waiting'>;
    shadows: Pick<Shadows, 'countsOf'>;
  },
): void {
  const { registry, queue, rollout, shadows } = options;

  addScoreRoute(app, addressesOf('/v1/models', '/score'), options);

  app.get('/v1/models', needs('score', 'jobs'), async (request, response) => {
    const caller = callerOf(request);
    const { models, leftOut } = catalogueOf(caller, registry);
    const draining = registry.draining.map(({ name, version }) => ({
      ...{ name, version, state: 'draining' },
    }));
    const isKnown = ({ name }: { name: string }) => caller.models?.includes(name) ?? true;
    // Described before anything is awaited: the registry may be another one after that.
    const described = models.map((model) => ({
      ...describe(model),
      traffic: describeTraffic(model, registry, shadows),
    }));
    const waiting = [...rollout.waiting.map(withReason), ...draining].filter(isKnown);
    const left = leftOut
      .filter(({ isWaiting }) => !isWaiting)
      .map(({ name, version, error }) => {
        const reason = registry.refusals.get(name) === error ? error.message : titleOf(error.code);
        return { name, version, code: error.code, reason };
      });
    const queues = models.map((model) => model.queue);
    const [workers, counts] = await Promise.all([
      queue.countWorkers(queues),
      queue.readCounts(queues),
    ]);
    response.json({
      models: described.map((model, index) => ({
        ...model,
        workers: workers[index] ?? 0,
        unanswered: queue.unansweredIn(queues[index] as string) ?? null,
        ...counts[index],
      })),
      waiting,
      leftOut: left,
    });
  });

  app.all('/v1/models', allow('GET', 'HEAD'));
}

/** @throws ScorelineError `unsupported_media_type` if the model takes inputs of another kind */
function checkMediaType(request: Request, kinds: InputKinds, model: Model): void {
  const { mediaTypes, noun } = kindsOf(kinds, model).input;
  const type = request.is(['text/*', 'image/*']);
  if (type === false || request.is(mediaTypes)) return;
  throw new ScorelineError(
    'unsupported_media_type',
    `The model ${model.name} takes ${noun}. Expected the content type ${mediaTypes}; got ${type}.`,
  );
}

/** An input of a body that has been read as a whole. */
interface BodyInput {
  /** The name of its file. */
  readonly name?: string | undefined;
  /** @throws ScorelineError if the input is malformed */
  read(): RawInput;
}

interface BodyInputs {
  /** There is one at least. */
  readonly inputs: readonly BodyInput[];
  /** Whether the answer is a list. */
  readonly isList: boolean;
  /** The parameters beside the inputs. */
  readonly given: Given;
}

/** @throws ScorelineError `input_missing`, `input_invalid`, `too_many_inputs` */
function readBodyInputs(
  body: Body,
  {
    kinds,
    listsAndStreams,
    model,
  }: { kinds: InputKinds; listsAndStreams: ListsAndStreams; model: Model },
): BodyInputs {
  const { input: kind } = kindsOf(kinds, model);
  const fromJson = (value: unknown): BodyInput => ({ read: () => readInput(kinds, model, value) });
  if (body.type === 'bytes') {
    // What a function has of the whole body, all functions made here would keep until the last of them is gone.
    const { bytes, charset } = body;
    const read = () => kind.fromBytes(bytes, { charset });
    return { inputs: [{ read }], isList: false, given: {} };
  }
  if (body.type === 'json') {
    const given = asObject(body.value);
    if (given.inputs !== undefined) {
      const list = readList(given);
      listsAndStreams.checkCount(list.length);
      return { inputs: list.map(fromJson), isList: true, given };
    }
    if (given.input === undefined) throw lacksInput(given);
    return { inputs: [fromJson(given.input)], isList: false, given };
  }
  const { input: _, ...given } = body.fields;
  const inputs = body.inputs.map((input) => {
    if (typeof input === 'string') {
      const isJson = model.manifest.input.kind === 'json';
      return isJson ? { read: () => kind.fromBytes(Buffer.from(input)) } : fromJson(input);
    }
    return { name: input.name, read: () => readFile(kinds, model, input) };
  });
  if (inputs.length > 0) return { inputs, isList: inputs.length > 1, given };
  throw new ScorelineError(
    'input_missing',
    `Expected a file, or the field "input"; got ${quoteKeys(given) || 'an empty form'}. With curl, -F file=@NAME sends a file, and -F input=TEXT a text.`,
  );
}

/** @throws ScorelineError `input_missing`, `input_invalid` */
function readList({ input, inputs }: Given): readonly unknown[] {
  if (input !== undefined || !Array.isArray(inputs)) {
    throw new ScorelineError(
      'input_invalid',
      `Expected "inputs" to be a list, without "input" beside it, as in {"inputs": ["…", "…"]}; got ${Array.isArray(inputs) ? 'both' : shown(inputs)}.`,
    );
  }
  if (inputs.length > 0) return inputs;
  throw new ScorelineError(
    'input_missing',
    'Expected at least one input in "inputs"; got an empty list.',
  );
}

/** The most characters of an example in the list of models. */
const exampleCharactersMax = 20_000;

/** Returns inputs to try a model with, in the form of its requests. That of a picture or a file is a path, which is left out. */
function examplesOf({ manifest: { input, example, samples = [] } }: Model): readonly unknown[] {
  if (input.kind === 'image' || input.kind === 'file') return [];
  const first = example && ('input' in example ? example.input : example.inputs);
  const all = first === undefined ? samples : [first, ...samples];
  return all.filter((each) => JSON.stringify(each).length <= exampleCharactersMax);
}

function describe(model: Model) {
  const { description, input, output, network, batch, deadlineMs } = model.manifest;
  return {
    name: model.name,
    version: model.version,
    queue: model.queue,
    description,
    input,
    output: describeOutput(output, model.labels.length),
    ...(model.heads.length > 0 && {
      outputs: Object.fromEntries(
        model.heads.map(({ name, output, labels }) => [
          name,
          describeOutput(output, labels.length),
        ]),
      ),
    }),
    ...(network && { network }),
    examples: examplesOf(model),
    batchMax: batch.max,
    deadlineMs,
  };
}

function describeOutput(output: Model['manifest']['output'] | HeadOutput, classes: number) {
  if (!scoresClasses(output)) return output;
  const { kind, activation, threshold } = output;
  return { kind, classes, top: topOf(output, classes), activation, threshold };
}

function describeTraffic(
  model: Model,
  { models, latest, splits, shadows }: Pick<Registry, 'models' | 'latest' | 'splits' | 'shadows'>,
  counted: Pick<Shadows, 'countsOf'>,
) {
  const shadow = shadows.get(model.name);
  const split = splits.get(model.name);
  const isLatest = latest.includes(model);
  const share = shareIn(split, model) ?? (isLatest ? 1 : 0);
  return {
    latest: isLatest,
    share,
    ...(share > 0 && split?.header !== undefined && { sticky: split.header }),
    ...(shadow?.model === model && {
      shadow: {
        of: models.filter(({ queue }) => shadow.of.has(queue)).map(({ version }) => version),
        percent: shadow.percent,
        ...counted.countsOf(model),
      },
    }),
  };
}

function withReason(waiting: Waiting) {
  const { code } = waiting;
  return code === undefined ? waiting : { ...waiting, reason: titleOf(code) };
}

/** The messages of errors hold paths, so they are only in the log. A worker of another version may know other codes. */
function titleOf(code: string): string | undefined {
  return (errorTable as Readonly<Record<string, { title: string }>>)[code]?.title;
}
