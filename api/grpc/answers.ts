// The answer to each method: from the bytes of its request to the bytes of its response.

import { type ErrorCode, ScorelineError } from '../../shared/errors.js';
import type { Registry } from '../../shared/registry/registry.js';
import type { Tensor } from '../../shared/tensors/tensors.js';
import { catalogueOf } from '../access/caller.js';
import type { Call } from '../call/call.js';
import type { Description, ModelName } from '../inference/description.js';
import { checkInferRequest, type InferRequest } from '../inference/infer-request.js';
import { formOutputs, sizeOf } from '../inference/infer-response.js';
import { checkListed } from '../inference/json-tensor.js';
import type { JoinedTensor } from '../inference/rows.js';
import { scoreInference } from '../inference/score.js';
import type { Readiness } from '../readiness.js';
import { routeTo } from '../routing.js';
import type { Scoring } from '../scoring.js';
import type { Arrival } from './arrival.js';
import { encodeContents, hasList } from './contents.js';
import { decodeInferMessage } from './infer-message.js';
import type { Message } from './message.js';
import { decodeRequest, encodeResponse, type MethodName } from './protocol.js';

export interface AnswerOptions {
  readonly registry: Registry;
  readonly readiness: Readiness;
  readonly description: Description;
  readonly scoring: Pick<Scoring, 'scoreTensors'>;
  readonly rowsMax: number;
}

/** Answers a request. Throws or rejects with what is to be answered otherwise. */
export type Answer = (arrival: Arrival, message: Message) => Promise<Buffer>;

export function makeAnswer(options: AnswerOptions): Answer {
  const describe = makeDescribe(options);
  const infer = makeInfer(options);
  return async (arrival, message) => {
    const { method } = arrival;
    if (method === 'ModelInfer') return encodeResponse(method, await infer(arrival, message));
    let request: Record<string, unknown>;
    try {
      request = decodeRequest(method, message.take());
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

const unservedCodes: ReadonlySet<ErrorCode> = new Set(['model_not_found', 'model_load_failed']);

type Describe = (arrival: Arrival, request: Record<string, unknown>) => object | Promise<object>;

function makeDescribe({
  readiness,
  description,
}: AnswerOptions): Readonly<Record<Exclude<MethodName, 'ModelInfer'>, Describe>> {
  return {
    ServerLive: () => ({ live: true }),
    ServerReady: async () => ({ ready: (await readiness.whyNot()) === undefined }),
    ServerMetadata: () => description.ofServer(),
    ModelReady: async ({ caller }, request) => {
      try {
        return await description.isReady(caller, nameIn(request));
      } catch (error) {
        // As in Triton, whose clients ask in a loop until a model is there, or is gone.
        if (error instanceof ScorelineError && unservedCodes.has(error.code))
          return { ready: false };
        throw error;
      }
    },
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
  /** Reads what a request asks for. Once its tensors are on their way, nothing has its message any more. */
  const readAsked = (arrival: Arrival, call: Call, message: Message) => {
    const { modelName, modelVersion, request } = decodeInferMessage(message.take());
    const version = modelVersion === '' ? undefined : modelVersion;
    const known = catalogueOf(arrival.caller, registry);
    const model = routeTo(known, { name: modelName, version }, (name) => arrival.read(name));
    call.narrow([model]);
    return { model, asked: checkInferRequest(request, { model, rowsMax }) };
  };

  return async (arrival: Arrival, message: Message): Promise<object> => {
    const { call } = arrival;
    if (!call) throw new Error('The gate opens a call for each request to infer. This is a bug.');
    const { model, asked } = readAsked(arrival, call, message);
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
  checkListed(outputs.map(sizeOf));
  return {
    outputs: outputs.map((output, at) => ({ ...heads[at], contents: contentsOf(output) })),
  };
}

function contentsOf(output: JoinedTensor): Buffer {
  const { datatype } = output;
  if (!hasList(datatype)) throw new Error(`${datatype} has no list of contents. This is a bug.`);
  return encodeContents(datatype, joinParts(output));
}

function joinParts({ parts }: JoinedTensor): Tensor['data'] {
  return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
}

function nameIn({ name, version }: Record<string, unknown>): ModelName {
  return { name: String(name), version: version === '' ? undefined : String(version) };
}
