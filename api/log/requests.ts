// The log of requests: one line for each that is refused or fails, and for as many of the others as asked for. No
// line holds what a client sent, but the path and the id of its request.
//
// A flood of failures must not become a flood of lines: each code has so many a second, and `leftOut` in the next
// line counts the others. At the level `debug`, every request has its line.

import { type Budget, makeBudget } from '../../shared/budget.js';
import { nowMs } from '../../shared/clock.js';
import { type ErrorCode, errorTable } from '../../shared/errors.js';
import type { Logger } from '../../shared/process/log.js';
import type { RequestFields } from '../../shared/process/log-fields.js';
import type { DepartedRequest, RequestEvents } from '../events.js';
import { adviceFor } from './advice.js';

/** The most lines a second of one code. */
const linesPerSecondMax = 10;

export function makeRequestLog(
  log: Logger,
  { accessRatio, random = Math.random }: { accessRatio: number; random?: () => number },
): Omit<RequestEvents, 'arrived'> {
  const budgets = new Map<string, Budget>();
  const logsAll = log.isLevelEnabled('debug');

  return {
    watchesAll: accessRatio > 0 || logsAll,
    departed(request) {
      const { code } = request;
      if (code === 'ok' || code === 'not_ready') {
        if (accessRatio > 0 && random() < accessRatio) log.info(fieldsOf(request), 'answered');
        else if (logsAll) log.debug(fieldsOf(request), 'answered');
        return;
      }
      const leftOut = logsAll ? 0 : takeLine(budgets, code);
      if (leftOut === undefined) return;
      const { status, title } = errorTable[code];
      const { failure } = request;
      const fields: RequestFields = {
        ...fieldsOf(request),
        // Others quote the request.
        detail: failure && status >= 429 && code !== 'client_closed' ? failure.message : title,
        advice: adviceFor(code, failure?.reason),
        ...(failure?.reason && { reason: failure.reason }),
        ...(leftOut > 0 && { leftOut }),
        ...(status === 500 && failure?.cause !== undefined && { err: failure.cause }),
      };
      log[levelOf(code)](fields, status === 429 ? 'a request was refused' : 'a request failed');
    },
  };
}

/** Takes a line from the budget of a code. Returns how many were left out before it; undefined if this one is. */
function takeLine(budgets: Map<string, Budget>, code: string): number | undefined {
  const budget = budgets.get(code) ?? makeBudget(linesPerSecondMax);
  budgets.set(code, budget);
  return budget.take(performance.now());
}

function levelOf(code: ErrorCode): 'info' | 'warn' | 'error' {
  const { status } = errorTable[code];
  if (status === 500) return 'error';
  return (status === 429 || status >= 503) && code !== 'shutting_down' ? 'warn' : 'info';
}

function fieldsOf(request: DepartedRequest): RequestFields {
  const { method, path, status, code, caller, call, trace, arrivedAt } = request;
  const [model, ...others] = call?.models ?? request.models ?? [];
  const isKnown = model && others.length === 0;
  return {
    requestId: request.requestId(),
    ...(trace && { traceId: trace.traceId, spanId: trace.spanId }),
    ...(caller && { caller: caller.id }),
    method,
    path: path(),
    ...(isKnown && { model: model.name, version: model.version }),
    status,
    code,
    ms: Math.round(nowMs() - arrivedAt),
  };
}
