// An error, as the service explains it.

import { ScorelineError } from '../../../client/client.js';
import { element } from './element.js';
import { showCode } from './error-code.js';
import { ms } from './format.js';
import { serviceUrl } from './service.js';

export function showError(thrown: unknown): HTMLElement {
  const known = thrown instanceof ScorelineError ? thrown : undefined;
  const detail = known?.code === 'connection_failed' ? unreachable : messageOf(thrown);
  const title = known?.problem?.title ?? titles[known?.code ?? ''] ?? 'This did not work';
  const facts = [
    // The other codes are those of the client, which the docs have no row for.
    known && (known.problem ? showCode(known.code) : element('code', {}, known.code)),
    known?.status !== undefined && `status ${known.status}`,
    known?.retryAfterMs !== undefined && `try again in ${ms(known.retryAfterMs)}`,
    known?.requestId !== undefined && ['request ', element('code', {}, known.requestId)],
  ].filter((fact) => fact !== undefined && fact !== false);
  return element(
    'div',
    { class: 'notice danger', role: 'alert' },
    element('h2', { class: 'minor' }, sentenceCase(title)),
    element('p', {}, detail),
    facts.length > 0 &&
      element(
        'p',
        { class: 'small muted facts-line' },
        facts.map((fact) => element('span', {}, fact)),
      ),
  );
}

const unreachable = `Expected an answer from ${serviceUrl}; the connection failed. Does the service run? Ask again when it does.`;

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

const titles: Readonly<Record<string, string>> = {
  connection_failed: 'The service cannot be reached',
  timed_out: 'It took too long',
  answer_unexpected: 'The answer is not one of the service',
};

function sentenceCase(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
