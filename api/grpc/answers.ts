// The answer to each method: from the bytes of its request to the bytes of its response.

import { ScorelineError } from '../../shared/errors.js';
import type { Registry } from '../../shared/registry.js';
import type { Tensor } from '../../shared/tensors.js';
import { catalogueOf } from '../access/caller.js';
import type { Description, ModelName } from '../inference/description.js';
import { checkInferRequest, type InferRequest } from '../inference/infer-request.js';
import { formOutputs } from '../inference/infer-response.js';
import type { JoinedTensor } from '../inference/rows.js';
import { scoreInference } from '../inference/score.js';
import type { Readiness } from '../readiness.js';
import { routeTo } from '../routing.js';
import type { Scoring } from '../scoring.js';
import type { Arrival } from './arrival.js';
import { hasList, writeContents } from './contents.js';
import { decodeInferMessage } from './infer-message.js';
import { decodeRequest, encodeResponse, type MethodName } from './protocol.js';

export interface AnswerOptions {
  readonly registry: Registry;
  readonly readiness: Readiness;
  readonly description: Description;
  readonly scoring: Pick<Scoring, 'scoreTensors'>;
  readonly rowsMax: number;
}

/** Answers a request. Throws or rejects with what is to be answered otherwise. */
export type Answer = (arrival: Arrival, request: Buffer) => Promise<Buffer>;

export function makeAnswer(options: AnswerOptions): Answer {
  const describe = makeDescribe(options);
  const infer = makeInfer(options);
  return async (arrival, bytes) => {
    const { method } = arrival;
    if (method === 'ModelInfer') return encodeResponse(method, await infer(arrival, bytes));
    let request: Record<string, unknown>;
    try {
      request = decodeRequest(method, bytes);
    } catch (cause) {
      throw new ScorelineError(
        'request_invalid',
        `Expected a message ${method}Request of the package inference; it could not be decoded.`,
        { cause },
      );
    }
    return encodeResponse(method, await describe[method](arrival, request));
  };
}

type Describe = (arrival: Arrival, request: Record<string, unknown>) => object | Promise<object>;

function makeDescribe({
  readiness,
  description,
}: AnswerOptions): Readonly<Record<Exclude<MethodName, 'ModelInfer'>, Describe>> {
  return {
    ServerLive: () => ({ live: true }),
    ServerReady: async () => ({ ready: (await readiness.whyNot()) === undefined }),
    ServerMetadata: () => description.ofServer(),
    ModelReady: ({ caller }, request) => description.isReady(caller, nameIn(request)),
    ModelMetadata: ({ caller }, request) => description.ofModel(caller, nameIn(request)),
    ModelConfig: ({ caller }, request) => ({
      config: description.configurationOf(caller, nameIn(request)),
    }),
    ModelStatistics: ({ caller }, request) =>
      description.statisticsOf(caller, request.name === '' ? undefined : nameIn(request)),
    RepositoryIndex: async ({ caller }, { ready }) => ({
      models: await description.index(caller, { isOnlyReady: ready === true }),
    }),
  };
}

function makeInfer({ registry, scoring, rowsMax }: AnswerOptions) {
  return async (arrival: Arrival, bytes: Buffer): Promise<object> => {
    const { call, caller } = arrival;
    if (!call) throw new Error('The gate opens a call for each request to infer. This is a bug.');
    const { modelName, modelVersion, request } = decodeInferMessage(bytes);
    const version = modelVersion === '' ? undefined : modelVersion;
    const known = catalogueOf(caller, registry);
    const model = routeTo(known, { name: modelName, version }, (name) => arrival.read(name));
    call.narrow([model]);
    const asked = checkInferRequest(request, { model, rowsMax });
    const items = await scoreInference(scoring, call, asked);
    return {
      model_name: model.name,
      model_version: model.version,
      id: asked.id,
      ...writeOutputs(asked, formOutputs(model, asked, items)),
    };
  };
}

/** If one output has to be raw, all are: their contents stand in one list, in order. */
function writeOutputs({ outputs: forms }: InferRequest, outputs: readonly JoinedTensor[]): object {
  const isRaw = forms.some(({ isBinary }) => isBinary);
  const heads = outputs.map(({ name, datatype, shape }) => ({ name, datatype, shape }));
  if (isRaw || outputs.some(({ datatype }) => !hasList(datatype))) {
    return { outputs: heads, raw_output_contents: outputs.map(joinParts) };
  }
  return {
    outputs: outputs.map((output, at) => ({ ...heads[at], contents: contentsOf(output) })),
  };
}

function contentsOf(output: JoinedTensor): object {
  const { datatype } = output;
  if (!hasList(datatype)) throw new Error(`${datatype} has no list of contents. This is a bug.`);
  return writeContents(datatype, joinParts(output));
}

function joinParts({ parts }: JoinedTensor): Tensor['data'] {
  return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
}

function nameIn({ name, version }: Record<string, unknown>): ModelName {
  return { name: String(name), version: version === '' ? undefined : String(version) };
}
