// The plan: which versions get requests, from what is in the folder and what workers have announced.
//
// A version gets requests once a worker is ready for its queue, so no request waits for a model to load. Until then
// the versions of before are served: others, or the same one with other files.
//
// Requests wait for the first worker in three cases. An API starts, and no worker has announced any version of a model:
// then all of them are served. The versions of before have left the folder and have no worker: a worker that starts
// loads only the folder of now. A new model may scale from zero, and no worker runs: its workers come only for requests.
//
// Requests that name no version are answered by those that traffic.yaml lets answer, and by no other. While there is
// none, such requests are refused, and the other versions can be named.
//
// A version that has lost its workers, and that no worker can load any more, leaves its requests to the others. If
// there is no other, it stays, and its requests are refused (rollout.ts).

import { ScorelineError } from '../../shared/errors.js';
import type { LeftOut } from '../../shared/registry/left-out.js';
import { latestFirst, type Model } from '../../shared/registry/models.js';
import type { Registry, Served, Shadow } from '../../shared/registry/registry.js';
import type { LoadFault } from '../../shared/registry/repository.js';
import {
  latestOf,
  releasedIn,
  type Split,
  splitOf,
  type Traffic,
} from '../../shared/registry/traffic.js';
import type { MayRest } from './at-rest.js';

export interface PlanInput {
  /** What the folder has, in order. */
  readonly wanted: readonly Model[];
  readonly leftOut: readonly LeftOut[];
  /** Undefined if it cannot be read. Then the model is left out. */
  readonly trafficOf: (name: string) => Traffic | undefined;
  readonly unloaded: ReadonlySet<string>;
  /** What is served now. */
  readonly served: Pick<Registry, 'models' | 'latest' | 'draining'>;
  /** Whether a worker has been ready for a queue, and none has reported since then that it cannot be. */
  readonly isReady: (queue: string) => boolean;
  /** Why no worker can load the model of a queue. */
  readonly faultOf: (queue: string) => Pick<LoadFault, 'code' | 'message'> | undefined;
  /** Whether a model still has requests. */
  readonly isInUse: (model: Model) => boolean;
  /** Whether a model that has left the folder has been without workers for so long that none will come. */
  readonly isLost: (model: Model) => boolean;
  /** Whether there has been no worker for so long that none is loading the model of a queue. */
  readonly isIdle: (queue: string) => boolean;
  readonly mayRest: MayRest;
  /** Whether this instance has just started. */
  readonly isStart: boolean;
}

export function planVersions(input: PlanInput): Served {
  const { wanted, trafficOf, unloaded, served } = input;
  const names = new Set([...wanted, ...served.models].map(({ name }) => name));
  const models: Model[] = [];
  const splits = new Map<string, Split<Model>>();
  const refusals = new Map<string, ScorelineError>();
  const shadows = new Map<string, Shadow>();
  for (const name of names) {
    const traffic = trafficOf(name);
    if (unloaded.has(name) || !traffic) continue;
    const current = served.latest.find((model) => model.name === name)?.version;
    const meantOf = (of: readonly Model[]) => latestOf(of, traffic, current);
    const versions = latestFirst(versionsOf(name, meantOf, input), traffic, current);
    models.push(...versions);
    if (versions.length > 0 && !meantOf(versions)) {
      refusals.set(name, noneAnswers({ name, versions, traffic }, input));
    }
    const split = splitOf(versions, traffic);
    if (split) splits.set(name, split);
    const shadow = shadowOf(versions, traffic);
    if (shadow) shadows.set(name, shadow);
  }
  const isServed = ({ queue }: Model) => models.some((model) => model.queue === queue);
  const leaving = [...served.models, ...served.draining].filter((model) => !isServed(model));
  const draining = leaving.filter(input.isInUse);
  const unanswered = [...refusals].map(([name, error]) => ({ name, error }));
  const leftOut = [...leftOutOf(input, models), ...unanswered];
  return { models, splits, refusals, shadows, draining, leftOut };
}

/** @param meantOf returns the latest one of some versions; undefined if none of them may be it */
function versionsOf(
  name: string,
  meantOf: (of: readonly Model[]) => Model | undefined,
  input: PlanInput,
): readonly Model[] {
  const { isReady, faultOf, isLost, isIdle, mayRest } = input;
  const isOfName = (model: Model) => model.name === name;
  const wanted = input.wanted.filter(isOfName);
  const served = input.served.models.filter(isOfName);
  const before = served.filter((model) => !isLost(model));
  const isStart = input.isStart || (served.length > 0 && before.length === 0);
  if (wanted.length === 0) return [];
  const hasFailed = ({ queue }: Model) => !isReady(queue) && faultOf(queue) !== undefined;
  const now = wanted.flatMap((model) => {
    const { queue, version } = model;
    if (isReady(queue)) return [model];
    const same = served.find((each) => each.version === version);
    if (same && same.queue !== queue && before.includes(same)) return [same];
    // It may have no workers until it has requests.
    const isAssumed = same ?? (isStart && mayRest(model));
    return isAssumed && !hasFailed(model) ? [model] : [];
  });
  if (now.length === 0) {
    if (before.length > 0) return before;
    const mayBegin = (model: Model) => mayRest(model) && isIdle(model.queue) && !hasFailed(model);
    return isStart ? wanted : wanted.filter(mayBegin);
  }
  if (meantOf(now)) return now;
  // The others may not answer in place of the one that is meant. So the one of before goes on, or the one that is meant
  // gets the requests, which wait for its worker.
  const gone = before.filter(({ version }) => !wanted.some((model) => model.version === version));
  const mayWait = (model: Model) => (isStart || mayRest(model)) && !hasFailed(model);
  const meant = meantOf(gone) ?? meantOf(wanted.filter(mayWait));
  return meant ? [...now, meant] : now;
}

/** Returns why no version of a model answers requests that name none. Callers see it, so it has no paths. */
function noneAnswers(
  of: { name: string; versions: readonly Model[]; traffic: Traffic },
  { wanted, leftOut, faultOf, isReady }: PlanInput,
): ScorelineError {
  const { name, versions, traffic } = of;
  const whyNot = (version: string) => {
    const isIt = (each: { name: string; version?: string | undefined }) =>
      each.name === name && each.version === version;
    const model = wanted.find(isIt);
    const fault = model && !isReady(model.queue) ? faultOf(model.queue) : undefined;
    const code = fault?.code ?? leftOut.find(isIt)?.error.code;
    if (code) return `version ${version} cannot be served (${code})`;
    return `version ${version} ${model ? 'has not been loaded yet' : 'is not served here'}`;
  };
  const released = releasedIn(traffic);
  const reason = released
    ? `its traffic.yaml lets no other version answer them, and ${released.map(whyNot).join(', ')}`
    : 'the only version that can be served is a shadow';
  const others = versions.map(({ version }) => version).join(', ');
  const isLoading = wanted.some(
    (model) =>
      model.name === name &&
      (released?.includes(model.version) ?? model.version !== traffic.shadow?.version) &&
      !isReady(model.queue) &&
      !faultOf(model.queue),
  );
  return new ScorelineError(
    isLoading ? 'model_not_found' : 'model_load_failed',
    `The model "${name}" answers no requests without a version: ${reason}. Requests may name a version that is served: ${others}.`,
    { unservedModel: name },
  );
}

/** A shadow gets the tensors of the version that answers, so it can only follow those with the same input. */
function shadowOf(versions: readonly Model[], { shadow }: Traffic): Shadow | undefined {
  const model = versions.find(({ version }) => version === shadow?.version);
  if (!shadow || !model) return undefined;
  const input = inputOf(model);
  const alike = versions.filter((each) => each !== model && inputOf(each) === input);
  const of = new Set(alike.map(({ queue }) => queue));
  return { model, of, percent: shadow.percent };
}

function inputOf({ manifest: { input, output, network } }: Model): string {
  return JSON.stringify([input, output.kind, network?.inputs]);
}

function leftOutOf(input: PlanInput, models: readonly Model[]): readonly LeftOut[] {
  const { wanted, leftOut, unloaded, faultOf, isReady } = input;
  const failed = wanted.flatMap(({ name, version, queue }) => {
    const fault = unloaded.has(name) || isReady(queue) ? undefined : faultOf(queue);
    if (!fault) return [];
    const error = loadFailed(name, fault);
    return [{ name, version, error, fault: fault.code, isWaiting: true }];
  });
  const out = [...unloaded].map((name) => ({ name, error: unloadedModel(name), isWaiting: true }));
  const isMissing = ({ name }: { name: string }) =>
    !unloaded.has(name) && input.trafficOf(name) && !models.some((model) => model.name === name);
  const loading = [...new Set(wanted.filter(isMissing).map(({ name }) => name))].filter(
    (name) => !failed.some((each) => each.name === name),
  );
  return [
    ...leftOut.filter(({ name }) => !unloaded.has(name)),
    ...failed,
    ...out,
    ...loading.map((name) => ({ name, error: loadingModel(name), isWaiting: true })),
  ];
}

function loadFailed(name: string, { code, message }: Pick<LoadFault, 'code' | 'message'>) {
  return new ScorelineError('model_load_failed', `${name}: ${code}: ${message}`);
}

function unloadedModel(name: string): ScorelineError {
  return new ScorelineError(
    'model_not_found',
    `The model "${name}" is unloaded. An operator can load it: POST /v2/repository/models/${name}/load`,
  );
}

function loadingModel(name: string): ScorelineError {
  return new ScorelineError(
    'model_not_found',
    `The model "${name}" is new, and no worker has loaded it yet. Ask again shortly.`,
  );
}
