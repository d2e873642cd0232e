// The judge says what is wrong with what a request got. Whatever was sent, each answer has
//
// - a status that docs/errors.md knows, and none of 5xx, except a 504 to a request with a deadline of its own;
// - if it is a refusal, a problem document whose code, status, title and type belong together, or below /v2
//   an error of the Open Inference Protocol with code and status, or a page with the same if one was asked for;
// - nothing of the inside in it: no stack, path, version or library's message;
// - no credential in it;
// - nothing for whom it is not: without a valid key only probes are answered, and a key for one model is
//   told of no other.

import process from 'node:process';
import { type ErrorCode, errorTable } from '../shared/errors.js';
import type { Answer } from './answer.js';
import type { Callers } from './callers.js';
import type { Shot } from './draft.js';
import type { Exchange } from './exchange.js';

/** Returns what is wrong with an exchange; undefined if nothing is. */
export type FindFault = (shot: Shot, exchange: Exchange) => string | undefined;

const statuses = new Set([200, ...Object.values(errorTable).map(({ status }) => status)]);
interface ProblemForm {
  /** The members, sorted. */
  readonly keys: string;
  /** The member that says what is wrong. */
  readonly detail: string;
}

const problemType = 'application/problem+json; charset=utf-8';
const pageType = 'text/html; charset=utf-8';
/** A refusal is a page for whoever asks for one. */
const mayBePage = /^(GET|HEAD) [\s\S]*\naccept: *text\/html/i;

/** The forms of refusals by content type. */
const forms: Readonly<Record<string, ProblemForm>> = {
  [problemType]: {
    keys: 'code,detail,status,title,type',
    detail: 'detail',
  },
  'application/json; charset=utf-8': { keys: 'code,error,status', detail: 'error' },
};
const detailBytesMax = 2000;
const inside = new RegExp(
  [
    ...[
      '\\.[cm]?[jt]s\\b',
      'node_modules',
      'node:',
      '\\[object',
      'HPE_',
      'ECONN',
      'ENOENT',
      'EPIPE',
    ],
    ...[
      'vips',
      'sharp',
      'busboy',
      'express',
      'bullmq',
      'ioredis',
      'onnxruntime',
      'llhttp',
      'undefined',
    ],
    ...[
      'Unexpected token',
      '/(?:work|root|home|tmp|usr|app|var)/',
      process.version.replaceAll('.', '\\.'),
    ],
  ].join('|'),
  'gi',
);

export function makeFindFault(callers: Callers): FindFault {
  const secrets = Object.values(callers).map((key) => key.slice(15));
  const valid = Object.entries(callers).filter(([name]) => name !== 'expired');

  return (shot, exchange) => {
    const text = shot.bytes.toString('latin1');
    const shown = valid.filter(([, key]) => text.includes(key)).map(([name]) => name);
    for (const answer of exchange.answers) {
      const fault = findAnswerFault(answer, { text, shown, toHead: text.startsWith('HEAD ') });
      if (fault) return `${fault}: ${describe(answer)}`;
    }
    return findEndingFault(shot, exchange);
  };

  function findAnswerFault(answer: Answer, sent: Sent): string | undefined {
    const { status } = answer;
    if (status === 304 && /if-none-match/i.test(sent.text)) return undefined;
    if (isChapter(answer)) return undefined;
    if (status !== 202 && !statuses.has(status))
      return 'a status that docs/errors.md does not know';
    const whole = `${[...answer.fields].join('\n')}\n${answer.body}`;
    const echoed = [...secrets, ...credentialsIn(sent.text)].find((text) => whole.includes(text));
    if (echoed !== undefined) return 'a credential in the answer';
    if (answer.fields.has('x-powered-by') || answer.fields.has('server'))
      return 'a name of software';
    const isTold =
      sent.shown.some((name) => name !== 'oneModel') || mentions(sent.text, 'efficientnet');
    if (!isTold && /efficientnet/i.test(whole)) return 'a model that the caller may not know';
    if (status === 202) return findJobFault(answer, sent);
    return status === 200 ? findSuccessFault(answer, sent) : findRefusalFault(answer, sent);
  }
}

/** Whether the answer is a chapter of the docs, or leads there. They are the same for everyone. */
function isChapter({ status, fields, body }: Answer): boolean {
  if (status === 308) return fields.get('location') === '../docs';
  return status === 200 && body.startsWith('<!doctype html>\n<html lang="en" data-docs=');
}

interface Sent {
  /** The bytes of the request as Latin-1. */
  readonly text: string;
  /** The callers whose valid keys are in it. */
  readonly shown: readonly string[];
  readonly toHead: boolean;
}

function findSuccessFault(
  { fields, body }: Answer,
  { text, shown, toHead }: Sent,
): string | undefined {
  if (toHead) return undefined;
  const type = fields.get('content-type') ?? 'none';
  // The page's sample pictures are as open as the page.
  if (type === 'image/jpeg' && text.includes('/playground/')) return undefined;
  const isOpen = /^(Healthy$|\{"(live|ready)":true|\{"openapi":|<!doctype html>)/.test(body);
  if (shown.length === 0 && !isOpen) return 'an answer without a valid key';
  if (/^text\/(plain|html); charset=utf-8$/.test(type)) return undefined;
  if (type === 'application/x-ndjson') return findLinesFault(body, text);
  // V1 of KServe has no charset.
  if (!/^application\/json(; charset=utf-8)?$/.test(type)) return `the content type ${type}`;
  const value = parse(body);
  if (value === undefined) return 'no JSON';
  if (Array.isArray(value.results)) {
    const faults = value.results.map((each: Record<string, unknown>) =>
      findResultFault(each, text),
    );
    return faults.find((fault: string | undefined) => fault !== undefined);
  }
  return findPredictionsFault(value);
}

/** Returns the problem document that the page of an error shows. */
function readPage(page: string): string {
  const [, status, title = '', detail = '', code = ''] = pageForm.exec(page) ?? [];
  const type = `urn:scoreline:error:${code}`;
  const texts = { title: unescapeText(title), detail: unescapeText(detail) };
  return JSON.stringify({ type, status: Number(status), code, ...texts });
}

const pageForm =
  /<p class="status">(\d+)<\/p>\n<h1>(.*?)<\/h1>\n<p>([^<]*)<\/p>\n<dl>\n<dt>Code<\/dt><dd><a href="[^"]*#(\w+)">/;
const characters: Readonly<Record<string, string>> = {
  ...{ amp: '&', lt: '<', gt: '>', quot: '"' },
  '#39': "'",
};

function unescapeText(text: string): string {
  return text.replace(/&(#?\w+);/g, (_, name: string) => characters[name] ?? '');
}

/** Looks at an answer that has a result in each line. */
function findLinesFault(body: string, text: string): string | undefined {
  const lines = body.split('\n');
  if (lines.pop() !== '') return 'a line that is cut off';
  for (const line of lines) {
    const value = parse(line);
    const fault = value ? findResultFault(value, text) : 'a line that is no JSON';
    if (fault) return fault;
  }
  return undefined;
}

function findResultFault(result: Record<string, unknown>, text: string): string | undefined {
  const { problem } = result as { problem?: { status: number } };
  if (problem === undefined) return findPredictionsFault(result);
  const [form] = Object.values(forms) as [ProblemForm];
  return findProblemFault(JSON.stringify(problem), { form, status: problem.status, text });
}

function findPredictionsFault({ predictions }: Record<string, unknown>): string | undefined {
  if (predictions === undefined) return undefined;
  const isRight =
    Array.isArray(predictions) &&
    predictions.length > 0 &&
    // By V1 each is what the network answers to a row.
    predictions.every(({ score, probabilities = [score] }) => probabilities.every(isProbability));
  return isRight ? undefined : 'no scores from 0 to 1';
}

/** Looks at the answer to a request whose result comes later. */
function findJobFault({ fields, body }: Answer, { text }: Sent): string | undefined {
  if (!/prefer|async/i.test(text)) return 'a job that nobody asked for';
  const { id, state } = parse(body) ?? {};
  const isRight = state === 'queued' && fields.get('location') === `/v1/jobs/${id}`;
  return isRight ? undefined : 'no job';
}

function isProbability(score: unknown): boolean {
  return typeof score === 'number' && score >= 0 && score <= 1;
}

function findRefusalFault(answer: Answer, { text, shown, toHead }: Sent): string | undefined {
  const { status, fields } = answer;
  const isPage = fields.get('content-type') === pageType && mayBePage.test(text);
  const form = forms[isPage ? problemType : (fields.get('content-type') ?? '')];
  const body = isPage ? readPage(answer.body) : answer.body;
  if (!form) return 'no problem document';
  if (status === 401 && !fields.get('www-authenticate')) return 'no WWW-Authenticate';
  if (status === 405 && !fields.get('allow')) return 'no Allow';
  if ((status === 429 || status === 503) && !/^\d+$/.test(fields.get('retry-after') ?? '')) {
    return 'no Retry-After';
  }
  const hasDeadline = /deadline|request-timeout/i.test(text);
  if (status >= 500 && !(status === 504 && hasDeadline)) return 'a failure of the service';
  // An answer that cannot come before the request's own deadline is refused at once.
  if (status === 429 && !shown.includes('limited') && !hasDeadline)
    return 'no room under a load that is low';
  return toHead ? undefined : findProblemFault(body, { form, status, text });
}

function findProblemFault(
  body: string,
  { form, status, text }: { form: ProblemForm; status: number; text: string },
): string | undefined {
  const problem = parse(body);
  if (problem === undefined) return 'no JSON';
  if (Object.keys(problem).toSorted().join() !== form.keys) return 'other members';
  const { code, title, type } = problem;
  const detail = problem[form.detail];
  const row = errorTable[code as ErrorCode];
  const isConsistent =
    Object.hasOwn(errorTable, String(code)) &&
    row.status === status &&
    problem.status === status &&
    (form.detail === 'error' || (row.title === title && type === `urn:scoreline:error:${code}`));
  if (!isConsistent) return 'a code, status, title and type that do not belong together';
  if (typeof detail !== 'string' || !/^\S.*[.)]$/su.test(detail))
    return 'a detail that is no sentence';
  if (Buffer.byteLength(detail) > detailBytesMax) return 'a detail that is too long';
  const leaked = [...detail.matchAll(inside)].find(([word]) => !mentions(text, word));
  return leaked && `something of the inside (${leaked[0]})`;
}

function findEndingFault(
  shot: Shot,
  { ending, answers, rest, reason }: Exchange,
): string | undefined {
  if (ending === 'garbled') return `an answer that is no HTTP (${reason})`;
  if (ending === 'unreachable') return `no connection (${reason})`;
  if (ending === 'silent') return 'no answer, and the connection stays open';
  if (ending === 'left') return undefined;
  if (shot.isWhole && answers.length > 1) return 'two answers to one request';
  if (rest.length > 0 && !isCutStream(shot, rest))
    return 'bytes after the answer, or an answer that is cut off';
  if (shot.isWhole && answers.length === 0) return `no answer (${reason ?? 'closed'})`;
  return undefined;
}

/**
 * Whether an answer of lines ends before its end because its request is no HTTP behind its head. It has begun by then,
 * so only its end can say that.
 */
function isCutStream({ isWhole }: Shot, rest: Buffer): boolean {
  const head = /^HTTP\/1\.1 200 [\s\S]*\r\ncontent-type: application\/x-ndjson\r\n/i;
  return !isWhole && head.test(rest.toString('latin1'));
}

/** The credentials that a request shows, right or wrong, if they are long enough to be told from words. */
function credentialsIn(text: string): string[] {
  const fields = text.matchAll(/^(?:x-api-key|authorization): *(.*)$/gim);
  return [...fields]
    .flatMap(([, value = '']) => value.trim().split(/\s+/))
    .filter((word) => word.length >= 20);
}

/** Whether a request holds a word, so that an answer may quote it. */
function mentions(text: string, word: string): boolean {
  const has = (candidate: string) => candidate.toLowerCase().includes(word.toLowerCase());
  return has(text) || has(Buffer.from(text, 'latin1').toString()) || has(decodePercents(text));
}

function decodePercents(text: string): string {
  return text.replace(/%([0-9a-f]{2})/gi, (_, digits) =>
    String.fromCharCode(Number(`0x${digits}`)),
  );
}

// biome-ignore lint/suspicious/noExplicitAny: answers are of any form.
function parse(body: string): any {
  try {
    const value = JSON.parse(body);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function describe({ status, body }: Answer): string {
  return `${status} ${body.slice(0, 300)}`;
}
