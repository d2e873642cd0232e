// Scores requests with several inputs: in a list, in a form, or as a stream of lines. The answer is one document,
// or a line for each input as soon as it has finished.

import type { Request, Response } from 'express';
import { errorTable, problemOf, ScorelineError } from '../../../shared/errors.js';
import { type InputName, readInputName } from '../../../shared/input-name.js';
import type { Logger } from '../../../shared/process/log.js';
import type { Model } from '../../../shared/registry/models.js';
import { shown } from '../../../shared/shown.js';
import type { Call } from '../../call/call.js';
import type { Calls } from '../../call/calls.js';
import { withInputsAsWritten } from '../../json-text.js';
import { writeNativeAnswer } from '../../kinds/answers.js';
import { decodeText } from '../../kinds/charset.js';
import { type InputKinds, readInput } from '../../kinds/kinds.js';
import { parseGiven } from '../../parse-json.js';
import type {
  Arrived,
  Outcome,
  Question,
  SeveralInputs,
  SeveralInputsEnd,
  Source,
} from '../../several-inputs/several-inputs.js';
import { linesType, sendJsonText, sendLinesHead } from '../answers/json.js';
import { LineSink } from '../answers/line-sink.js';
import { logFault } from '../answers/problem.js';
import { asObject, charsetOf, lacksInput, refuseUnknown } from '../body/body.js';
import { leaveBody } from '../body/leave.js';
import { type Line, LineReader, wantsLines } from '../body/lines.js';
import type { Gate } from '../gate/gate.js';
import {
  type Given,
  queryOf,
  readDeadlineMs,
  readWish,
  withQuery,
} from '../parameters/parameters.js';

/** The most characters of an answer to a list. All of them are in memory together. */
const listCharactersMax = 100_000_000;

interface Options {
  readonly kinds: InputKinds;
  readonly severalInputs: SeveralInputs;
  readonly gate: Pick<Gate, 'checkAgain'>;
  readonly calls: Pick<Calls, 'isShuttingDown'>;
  readonly log: Logger;
  /** The most inputs of a request, unless it is a stream. */
  readonly inputsMax: number;
  readonly lineBytesMax: number;
  /** How long a client may send nothing, or take nothing, before its stream ends. */
  readonly pauseMsMax: number;
}

interface Exchange {
  readonly request: Request;
  readonly response: Response;
}

export class ListsAndStreams {
  readonly #options: Options;

  constructor(options: Options) {
    this.#options = options;
  }

  /** @throws ScorelineError `too_many_inputs` if a body that is here as a whole may not have so many */
  checkCount(inputs: number): void {
    const { inputsMax } = this.#options;
    if (inputs > inputsMax) throw tooMany(inputs, inputsMax);
  }

  /** Scores the inputs of a body that is here as a whole, and takes each out of the array when its turn comes. */
  async scoreList(call: Call, inputs: Arrived[], exchange: Exchange): Promise<void> {
    this.checkCount(inputs.length);
    refuseDeferral(call);
    call.enter('scoring');
    if (wantsLines(exchange.request)) await this.#answerInLines(call, inputs, exchange);
    else await this.#answerAtOnce(call, inputs, exchange);
  }

  /** Scores the lines of a body as they arrive. */
  async scoreStream(call: Call, { request, response }: Exchange): Promise<void> {
    const { calls, gate, lineBytesMax, pauseMsMax } = this.#options;
    refuseDeferral(call);
    const query = queryOf(request);
    readWish(query, call.model);
    const charset = charsetOf(request);
    if (charset !== undefined && !/^utf-?8$/i.test(charset)) throw otherCharset(charset);
    const lines = new LineReader({
      ...{ call, request, response, lineBytesMax, pauseMsMax },
      isShuttingDown: () => calls.isShuttingDown,
    });
    try {
      call.enter('scoring');
      // HAProxy 2.6 passes no line of an answer on whose head came in one piece with the 100 Continue.
      if (request.headers.expect !== undefined) await lines.hasNext();
      const source = {
        hasNext: () => lines.hasNext(),
        next: async () => {
          const line = await lines.next();
          await gate.checkAgain(request, call.model);
          return this.#arrivedOf(line, query, call.model);
        },
      };
      const { count, stop, sink } = await this.#sendLines(call, source, response);
      if (stop) {
        await sink.write(`${writeFailure(stop, { nextIndex: count })}\n`);
        lines.close();
        leaveBody(response, () => response.end());
      } else response.end();
    } finally {
      lines.close();
    }
  }

  async #answerAtOnce(call: Call, inputs: Arrived[], { response }: Exchange): Promise<void> {
    const names = inputs.map(({ name }) => name);
    const results: string[] = [];
    let failed = 0;
    let room = listCharactersMax;
    let isFull = false;
    const deliver = (outcome: Outcome) => {
      let { text, isFailed } = this.#write(call, response, outcome);
      if (text.length > room && !isFailed) {
        isFull = true;
        text = writeFailure(tooLong(), { index: outcome.index, id: outcome.name });
        isFailed = true;
      }
      room -= text.length;
      if (isFailed) failed++;
      results[outcome.index] = text;
    };
    const { severalInputs } = this.#options;
    const source = { ...sourceOf(inputs), hasNext: () => inputs.length > 0 && !isFull };
    const { count, stop } = await severalInputs.score(call, { source, deliver });
    for (const outcome of outcomesAfter({ count, stop: stop ?? tooLong() }, names)) {
      deliver(outcome);
    }
    sendJsonText(response, `{"failed":${failed},"results":[${results.join()}]}`);
  }

  async #answerInLines(call: Call, inputs: Arrived[], { response }: Exchange): Promise<void> {
    const names = inputs.map(({ name }) => name);
    const { sink, ...end } = await this.#sendLines(call, sourceOf(inputs), response);
    for (const outcome of outcomesAfter(end, names)) {
      await sink.write(`${this.#write(call, response, outcome).text}\n`);
    }
    response.end();
  }

  /** Scores the inputs of a request, and sends a line for each outcome. */
  async #sendLines(call: Call, source: Source, response: Response) {
    const { severalInputs, pauseMsMax } = this.#options;
    sendLinesHead(response);
    const sink = new LineSink(response, pauseMsMax);
    const deliver = (outcome: Outcome) =>
      sink.write(`${this.#write(call, response, outcome).text}\n`);
    return { ...(await severalInputs.score(call, { source, deliver })), sink };
  }

  #write(call: Call, response: Response, outcome: Outcome): { text: string; isFailed: boolean } {
    const { index, name } = outcome;
    try {
      if ('error' in outcome) throw outcome.error;
      const { reply, isReplayed } = outcome;
      // It throws if the model computed no answer for this input, such as a number that is not finite.
      const answer = writeNativeAnswer(this.#options.kinds, call.model, reply, name);
      const replayed = isReplayed ? ',"replayed":true' : '';
      return { text: `{"index":${index}${replayed},${answer.slice(1)}`, isFailed: false };
    } catch (error) {
      if (!(error instanceof ScorelineError)) throw error;
      if (errorTable[error.code].status === 500) logFault(this.#options.log, response, error);
      return { text: writeFailure(error, { index, id: name }), isFailed: true };
    }
  }

  /** Reads a line as the body of a request with one input, which may have a name of its own. */
  #arrivedOf(line: Line, query: Given, model: Model): Arrived {
    let name: InputName | undefined;
    try {
      if ('error' in line) throw line.error;
      const given = asObject(parseLine(line.bytes, model));
      name = readInputName(given.id);
      if (given.input === undefined) throw lacksInput(given);
      if (given.inputs !== undefined) throw severalInLine();
      if (given.priority !== undefined) throw priorityOfLine();
      refuseUnknown(given, 'line');
      return { name, read: () => this.#toQuestion(given.input, withQuery(given, query), model) };
    } catch (thrown) {
      const read = () => {
        throw thrown;
      };
      return { name, read };
    }
  }

  /** @throws ScorelineError of a malformed input or parameter */
  #toQuestion(input: unknown, given: Given, model: Model): Question {
    return {
      input: readInput(this.#options.kinds, model, input),
      wish: readWish(given, model),
      deadlineMs: readDeadlineMs(given),
    };
  }
}

/** The outcomes of the inputs of a list that were not let in. */
function* outcomesAfter(
  { count, stop }: SeveralInputsEnd,
  names: readonly Arrived['name'][],
): Generator<Outcome> {
  for (let index = count; stop && index < names.length; index++) {
    yield { index, name: names[index], error: stop };
  }
}

function sourceOf(inputs: Arrived[]): Source {
  return {
    hasNext: () => inputs.length > 0,
    next: () => inputs.shift() as Arrived,
  };
}

/** @throws ScorelineError `invalid_json`, `input_invalid`, `body_too_large` */
function parseLine(bytes: Buffer, { manifest: { input } }: Model): unknown {
  const text = decodeText(bytes);
  const value = parseGiven(
    text,
    'Expected a JSON object in the line, as in {"input": "…"}; it could not be parsed. An object has to be in one line, and a line has one object. JSON has no NaN: write null instead.',
  );
  return input.kind === 'json' ? withInputsAsWritten(text, value) : value;
}

function writeFailure(
  error: ScorelineError,
  head: { index: number; id: InputName | undefined } | { nextIndex: number },
): string {
  return JSON.stringify({ ...head, problem: problemOf(error) });
}

/** @throws ScorelineError `preference_invalid` */
function refuseDeferral({ deferral }: Call): void {
  if (!deferral) return;
  throw new ScorelineError(
    'preference_invalid',
    'Expected no respond-async and no wait with several inputs, which are answered in one answer. Send one request for each input to get jobs, or leave the preference out.',
  );
}

function tooLong(): ScorelineError {
  return new ScorelineError(
    'result_too_large',
    `Expected answers of at most ${listCharactersMax} characters together; this one is beyond that. Send fewer inputs in a request, or ask with "Accept: ${linesType}" to get each answer in a line of its own.`,
  );
}

function tooMany(got: number, inputsMax: number): ScorelineError {
  return new ScorelineError(
    'too_many_inputs',
    `Expected at most ${inputsMax} inputs in a request; got ${got}. Send several requests, or any number of inputs in lines, with the content type ${linesType}.`,
  );
}

function otherCharset(got: string): ScorelineError {
  return new ScorelineError(
    'unsupported_media_type',
    `Expected lines in UTF-8; got the charset ${shown(got)}.`,
  );
}

function severalInLine(): ScorelineError {
  return new ScorelineError(
    'input_invalid',
    'Expected one input in a line; got "inputs" beside "input". Write a line for each.',
  );
}

function priorityOfLine(): ScorelineError {
  return new ScorelineError(
    'parameter_invalid',
    'Expected no priority in a line: all inputs of a request have that of its query or its header X-Priority.',
  );
}
