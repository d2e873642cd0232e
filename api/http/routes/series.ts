// Scores requests with several inputs: in a list, in a form, or as a stream of lines. The answer is one document,
// or a line for each input as soon as it has finished.

import type { Request, Response } from 'express';
import { errorTable, ScorelineError } from '../../../shared/errors.js';
import type { Logger } from '../../../shared/log.js';
import type { Model } from '../../../shared/models.js';
import type { Call, Calls } from '../../call.js';
import { writeNativeAnswer } from '../../kinds/answers.js';
import { decodeText } from '../../kinds/charset.js';
import { type InputKinds, readInput } from '../../kinds/kinds.js';
import type { Arrived, InputName, Outcome, Question, Series, Source } from '../../series/series.js';
import { asObject, charsetOf, inputMissing } from '../body.js';
import { linesType, sendJsonText, sendLinesHead } from '../json.js';
import { leaveBody } from '../leave-body.js';
import { LineSink } from '../line-sink.js';
import { type Line, LineReader, wantsLines } from '../lines.js';
import { type Given, queryOf, readDeadlineMs, readWish } from '../parameters.js';
import { logFault, problemOf } from '../problem.js';

const nameCharactersMax = 200;

export interface SeriesRoutes {
  /** Scores the inputs of a body that is here as a whole. */
  scoreList(call: Call, inputs: readonly Arrived[], exchange: Exchange): Promise<void>;
  /** Scores the lines of a body as they arrive. */
  scoreStream(call: Call, exchange: Exchange): Promise<void>;
}

interface Exchange {
  readonly request: Request;
  readonly response: Response;
}

export function makeSeriesRoutes(options: {
  kinds: InputKinds;
  series: Series;
  calls: Pick<Calls, 'isShuttingDown'>;
  log: Logger;
  /** The most inputs of a request, unless it is a stream. */
  inputsMax: number;
  lineBytesMax: number;
  /** How long a client may send nothing, or take nothing, before its stream ends. */
  pauseMsMax: number;
}): SeriesRoutes {
  const { kinds, series, calls, log, inputsMax, lineBytesMax, pauseMsMax } = options;

  const write = (call: Call, response: Response, outcome: Outcome): string => {
    if ('error' in outcome) {
      if (errorTable[outcome.error.code].status === 500) logFault(log, response, outcome.error);
      return writeFailure(outcome.error, { index: outcome.index, id: outcome.name });
    }
    const { index, name, reply, isReplayed } = outcome;
    const answer = writeNativeAnswer(kinds, call.model, reply, name);
    const replayed = isReplayed ? ',"replayed":true' : '';
    return `{"index":${index}${replayed},${answer.slice(1)}`;
  };

  const answerLines = async (call: Call, source: Source, { response }: Exchange) => {
    const sink = new LineSink(response, pauseMsMax);
    const deliver = (outcome: Outcome) => sink.write(`${write(call, response, outcome)}\n`);
    const deadlineMs = call.deadlineAt - call.arrivedAt;
    const { count, stop } = await series.score(call, { source, deadlineMs, deliver });
    return { count, stop, sink };
  };

  return {
    async scoreList(call, inputs, { request, response }) {
      if (inputs.length > inputsMax) throw tooMany(inputs.length, inputsMax);
      refuseDeferral(call);
      call.enter('scoring');
      const source = sourceOf(inputs);
      const nameAt = (index: number) => inputs[index]?.name;
      if (wantsLines(request)) {
        sendLinesHead(response);
        const { count, stop, sink } = await answerLines(call, source, { request, response });
        for (let index = count; stop && index < inputs.length; index++) {
          await sink.write(`${writeFailure(stop, { index, id: nameAt(index) })}\n`);
        }
        response.end();
        return;
      }
      const results: string[] = [];
      let failed = 0;
      const deliver = (outcome: Outcome) => {
        if ('error' in outcome) failed++;
        results[outcome.index] = write(call, response, outcome);
      };
      const deadlineMs = call.deadlineAt - call.arrivedAt;
      const { count, stop } = await series.score(call, { source, deadlineMs, deliver });
      for (let index = count; stop && index < inputs.length; index++) {
        deliver({ index, name: nameAt(index), error: stop });
      }
      sendJsonText(response, `{"failed":${failed},"results":[${results.join()}]}`);
    },

    async scoreStream(call, { request, response }) {
      refuseDeferral(call);
      const charset = charsetOf(request);
      if (charset !== undefined && !/^utf-?8$/i.test(charset)) throw otherCharset(charset);
      const lines = new LineReader({
        ...{ call, request, response, lineBytesMax, pauseMsMax },
        isShuttingDown: () => calls.isShuttingDown,
      });
      try {
        call.enter('scoring');
        sendLinesHead(response);
        const query = queryOf(request);
        const source = {
          hasNext: () => lines.hasNext(),
          next: async () => arrivedOf(await lines.next(), query, call.model),
        };
        const { count, stop, sink } = await answerLines(call, source, { request, response });
        if (stop) {
          await sink.write(`${writeFailure(stop, { nextIndex: count })}\n`);
          lines.close();
          leaveBody(response);
        }
        response.end();
      } finally {
        lines.close();
      }
    },
  };

  /** Reads a line as the body of a request with one input, which may have a name of its own. */
  function arrivedOf(line: Line, query: Given, model: Model): Arrived {
    let name: InputName | undefined;
    try {
      if ('error' in line) throw line.error;
      const given = asObject(parseLine(line.bytes));
      name = readName(given.id);
      if (given.input === undefined) throw inputMissing();
      return { name, read: () => toQuestion(given.input, { ...query, ...given }, model) };
    } catch (thrown) {
      const read = () => {
        throw thrown;
      };
      return { name, read };
    }
  }

  /** @throws ScorelineError of a malformed input or parameter */
  function toQuestion(input: unknown, given: Given, model: Model): Question {
    return {
      input: readInput(kinds, model, input),
      wish: readWish(given, model),
      deadlineMs: readDeadlineMs(given),
    };
  }
}

function sourceOf(inputs: readonly Arrived[]): Source {
  let at = 0;
  return {
    hasNext: () => at < inputs.length,
    next: () => inputs[at++] as Arrived,
  };
}

/** @throws ScorelineError `invalid_json`, `input_invalid` */
function parseLine(bytes: Buffer): unknown {
  const text = decodeText(bytes);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ScorelineError(
      'invalid_json',
      'Expected a JSON object in the line, as in {"input": "…"}; it could not be parsed. An object has to be in one line, and a line has one object.',
      { cause },
    );
  }
}

/** @throws ScorelineError `input_invalid` */
function readName(id: unknown): InputName | undefined {
  if (id === undefined || id === null) return undefined;
  if (typeof id === 'string' && id.length <= nameCharactersMax) return id;
  if (Number.isSafeInteger(id)) return id as number;
  throw new ScorelineError(
    'input_invalid',
    `Expected "id" to be a string of at most ${nameCharactersMax} characters or a whole number; got something else.`,
  );
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

function tooMany(got: number, inputsMax: number): ScorelineError {
  return new ScorelineError(
    'too_many_inputs',
    `Expected at most ${inputsMax} inputs in a request; got ${got}. Send several requests, or any number of inputs in lines, with the content type ${linesType}.`,
  );
}

function otherCharset(got: string): ScorelineError {
  return new ScorelineError(
    'unsupported_media_type',
    `Expected lines in UTF-8; got the charset ${JSON.stringify(got.slice(0, 60))}.`,
  );
}
