// Lines of the log as log records of OpenTelemetry. A line that names a trace belongs to it.

import { ROOT_CONTEXT, TraceFlags, trace } from '@opentelemetry/api';
import { type AnyValueMap, type Logger, SeverityNumber } from '@opentelemetry/api-logs';
import type { SendLine } from '../process/log.js';

const severities: Readonly<Record<number, readonly [SeverityNumber, string]>> = {
  10: [SeverityNumber.TRACE, 'TRACE'],
  20: [SeverityNumber.DEBUG, 'DEBUG'],
  30: [SeverityNumber.INFO, 'INFO'],
  40: [SeverityNumber.WARN, 'WARN'],
  50: [SeverityNumber.ERROR, 'ERROR'],
  60: [SeverityNumber.FATAL, 'FATAL'],
};

export function makeSendLine(logger: Logger): SendLine {
  return (line) => {
    const { level, time, msg, traceId, spanId, pid: _, role: __, ...fields } = JSON.parse(line);
    const [severityNumber, severityText] = severities[level] ?? [SeverityNumber.INFO, 'INFO'];
    const context = traceId
      ? trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: TraceFlags.SAMPLED })
      : ROOT_CONTEXT;
    logger.emit({
      timestamp: time,
      severityNumber,
      severityText,
      body: msg,
      attributes: fields as AnyValueMap,
      context,
    });
  };
}
