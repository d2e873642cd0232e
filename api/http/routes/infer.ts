// Scores the tensors of a request of the Open Inference Protocol, in JSON or with its binary extension.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Request, Response } from 'express';
import { ScorelineError } from '../../../shared/errors.js';
import { shown } from '../../../shared/shown.js';
import type { Timing } from '../../../shared/wire/reply.js';
import type { Call } from '../../call/call.js';
import { parseInferJson } from '../../inference/exact-json.js';
import { readInferRequest } from '../../inference/infer-request.js';
import {
  type InferResponse,
  listedOf,
  writeInferResponse,
} from '../../inference/infer-response.js';
import { listAhead } from '../../inference/json-tensor.js';
import { scoreInference } from '../../inference/score.js';
import { parseGiven } from '../../parse-json.js';
import type { Scoring } from '../../scoring.js';
import { sendCompressed } from '../answers/compression.js';
import { sendParts } from '../answers/json.js';
import { charsetOf, decodeJson } from '../body/body.js';
import type { ReadBytes } from '../body/bytes.js';
import type { ScoreHandler } from './score-route.js';

/** Says how many bytes of a body are JSON. Binary tensors follow. */
const jsonBytesHeader = 'Inference-Header-Content-Length';

export function makeScoreInference(options: {
  scoring: Pick<Scoring, 'scoreTensors'>;
  readBytes: ReadBytes;
  rowsMax: number;
  jsonBytesMax: number;
}): ScoreHandler {
  const { scoring, readBytes, rowsMax, jsonBytesMax } = options;

  /** Reads what a request asks for. Once its tensors are on their way, nothing has its body any more. */
  const readAsked = async (call: Call, request: Request, response: Response) => {
    const body = await readBytes(call, request, response);
    const jsonBytes = readJsonBytes(request, body.length);
    if (jsonBytes > jsonBytesMax) throw tooMuchJson(jsonBytes, jsonBytesMax);
    const value = parseBody(body.subarray(0, jsonBytes), charsetOf(request));
    return readInferRequest(value, body.subarray(jsonBytes), { model: call.model, rowsMax });
  };

  return async (call, request, response) => {
    const { model } = call;
    const asked = await readAsked(call, request, response);
    call.deferral?.writeAs({ route: 'inference', id: asked.id, outputs: [...asked.outputs] });
    const items = await call.run(async () => {
      const scored = await scoreInference(scoring, call, asked);
      call.dropBody();
      await listAhead(call, listedOf(asked, scored));
      return scored;
    });
    if (call.timing) response.setHeader('Server-Timing', writeTiming(call.timing));
    await send(response, writeInferResponse(model, asked, items));
  };
}

/** The protocol has no place for the timing in its answer. */
export function writeTiming({ queueMs, batchMs, computeMs, batchSize }: Timing): string {
  const [queue, batch, run] = [queueMs, batchMs, computeMs].map((ms) => Math.round(ms * 1e3) / 1e3);
  return `queue;dur=${queue}, batch;dur=${batch};desc=${batchSize}, run;dur=${run}`;
}

async function send(response: ServerResponse, { json, binary }: InferResponse): Promise<void> {
  if (binary.length === 0) {
    return sendCompressed(response, json, { 'Content-Type': 'application/json; charset=utf-8' });
  }
  const head = Buffer.from(json);
  sendParts(response, [head, ...binary], {
    'Content-Type': 'application/octet-stream',
    [jsonBytesHeader]: head.length,
  });
}

/** @throws ScorelineError `request_invalid` if the header is no number of bytes of the body */
function readJsonBytes({ headers }: IncomingMessage, bodyBytes: number): number {
  const given = headers[jsonBytesHeader.toLowerCase()];
  if (given === undefined) return bodyBytes;
  const bytes = /^\d{1,15}$/.test(String(given)) ? Number(given) : Number.NaN;
  if (bytes <= bodyBytes) return bytes;
  throw new ScorelineError(
    'request_invalid',
    `Expected ${jsonBytesHeader} to be the number of bytes of the JSON, at most the ${bodyBytes} of the body; got ${shown(String(given))}.`,
  );
}

/** Parsing numbers takes 8 to 70 ms for each MB, and meanwhile nobody else is served. */
function tooMuchJson(bytes: number, bytesMax: number): ScorelineError {
  return new ScorelineError(
    'body_too_large',
    `Expected at most ${bytesMax} bytes of JSON; got ${bytes}. Send large tensors as binary data behind the JSON: binary_data_size on the input, and the header ${jsonBytesHeader}.`,
  );
}

/** @throws ScorelineError `input_missing`, `invalid_json`, `body_too_large`, and the errors of `decodeJson` */
function parseBody(bytes: Buffer, charset: string | undefined): unknown {
  if (bytes.length === 0) {
    throw new ScorelineError(
      'input_missing',
      'Expected a JSON object with the key "inputs"; got an empty body.',
    );
  }
  return parseGiven(
    decodeJson(bytes, charset),
    `Expected JSON, and behind it the data of binary tensors if the header ${jsonBytesHeader} says where they begin; it could not be parsed. JSON has no NaN and no infinities: write "NaN", "Infinity" or "-Infinity" in quotes, or send binary tensors.`,
    parseInferJson,
  );
}
