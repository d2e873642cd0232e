// The trace of one request: its own span, and those of its items on their way to the queue.

import { nowMs } from '../../shared/clock.js';
import type { ScorelineError } from '../../shared/errors.js';
import type { Model } from '../../shared/registry/models.js';
import type { Span, TraceContext, Tracer } from '../../shared/telemetry/telemetry.js';

/** The trace of an item until Redis has it. */
export interface ItemTrace {
  /** Travels with the item. */
  readonly context: TraceContext;
  /** Redis has the item, or nobody waits for it any more. Later calls do nothing. */
  end(): void;
  fail(error: ScorelineError): void;
}

export class RequestTrace {
  readonly #tracer: Tracer;
  readonly span: Span;

  constructor(tracer: Tracer, span: Span) {
    this.#tracer = tracer;
    this.span = span;
  }

  get context(): TraceContext {
    return this.span.context;
  }

  get traceId(): string {
    return this.span.traceId;
  }

  get spanId(): string {
    return this.span.spanId;
  }

  /** The field `traceresponse` of the answer (W3C Trace Context, level 2). */
  get response(): string {
    return this.context.traceparent;
  }

  /** An item of the request is sent to the queue of its model. */
  send({ name, version, queue }: Model, itemId: string): ItemTrace {
    const span = this.#tracer.start(
      {
        name: 'send',
        of: queue,
        startAt: nowMs(),
        attributes: {
          'messaging.system': 'bullmq',
          'messaging.operation.type': 'send',
          'messaging.operation.name': 'send',
          'messaging.destination.name': queue,
          'messaging.message.id': itemId,
          'scoreline.model.name': name,
          'scoreline.model.version': version,
        },
      },
      this.context,
    );
    return {
      context: span.context,
      end: () => span.end(nowMs()),
      fail: (error) => {
        span.fail(error.code);
        span.end(nowMs());
      },
    };
  }
}
