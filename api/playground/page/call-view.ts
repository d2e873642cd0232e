// How a call went: where its time went, its ids, and the same call as code.

import type { Answered } from './asking.js';
import { makeButton } from './controls.js';
import { element } from './element.js';
import { ms } from './format.js';
import { settings } from './settings.js';
import { type Sent, snippetsOf } from './snippets.js';
import { makeTabs } from './tabs.js';

/** The language that was chosen last. */
let language = 0;

export function showCall(sent: Sent, { answer, note }: Answered): HTMLElement {
  const timing = 'timing' in answer ? answer.timing : note?.timing;
  return element(
    'section',
    { class: 'call', 'aria-label': 'The call' },
    timing
      ? showTiming(timing, note?.totalMs)
      : note && element('p', { class: 'muted' }, `Answered in ${ms(note.totalMs)}.`),
    note && showIds(note),
    showCode(sent),
  );
}

interface Timing {
  readonly queueMs: number;
  readonly batchMs: number;
  readonly computeMs: number;
  readonly batchSize: number;
}

interface Part {
  readonly name: string;
  readonly about: string;
  readonly partMs: number;
}

/** Shows the time as one bar. What no part of the service waited for is the preparation and the way. */
function showTiming(timing: Timing, totalMs: number | undefined): HTMLElement {
  const { queueMs, batchMs, computeMs, batchSize } = timing;
  const within = queueMs + batchMs + computeMs;
  const parts: Part[] = [
    {
      name: 'Prepare',
      about: 'network, reading and preparing the input, and the answer',
      partMs: Math.max((totalMs ?? within) - within, 0),
    },
    { name: 'Queue', about: 'waiting in Redis for a worker', partMs: queueMs },
    { name: 'Batch', about: 'waiting for the batch before', partMs: batchMs },
    { name: 'Run', about: 'the run of the model', partMs: computeMs },
  ].slice(totalMs === undefined ? 1 : 0);
  const sum = Math.max(totalMs ?? within, 0.001);
  const bar = element('div', { class: 'timing-bar', 'aria-hidden': 'true' });
  for (const { name, partMs } of parts) {
    const piece = element('span', { class: `part-${name.toLowerCase()}` });
    piece.style.setProperty('flex-grow', String(partMs / sum));
    bar.append(piece);
  }
  return element(
    'div',
    { class: 'timing' },
    element(
      'h2',
      { class: 'minor' },
      totalMs === undefined ? `Scored in ${ms(within)}` : `Answered in ${ms(totalMs)}`,
      element(
        'span',
        { class: 'muted' },
        batchSize === 1 ? ', alone in its batch' : `, in a batch of ${batchSize}`,
      ),
    ),
    bar,
    element('dl', { class: 'legend' }, parts.map(showPart)),
  );
}

function showPart({ name, about, partMs }: Part): HTMLElement {
  return element(
    'div',
    { title: about },
    element('dt', {}, element('span', { class: `dot part-${name.toLowerCase()}` }), name),
    element('dd', {}, ms(partMs)),
  );
}

function showIds({
  requestId,
  traceId,
}: {
  requestId: string;
  traceId?: string | undefined;
}): HTMLElement {
  return element(
    'dl',
    { class: 'ids' },
    element(
      'div',
      {},
      element('dt', {}, 'Request'),
      element('dd', {}, element('code', {}, requestId)),
    ),
    traceId !== undefined &&
      element('div', {}, element('dt', {}, 'Trace'), element('dd', {}, showTrace(traceId))),
  );
}

function showTrace(traceId: string): HTMLElement {
  const code = element('code', {}, traceId);
  const { traceUrl } = settings;
  if (traceUrl === undefined) return code;
  const href = traceUrl.replaceAll('{traceId}', encodeURIComponent(traceId));
  return element('a', { href, target: '_blank', rel: 'noreferrer noopener' }, code);
}

function showCode(sent: Sent): HTMLElement {
  const tabs = snippetsOf(sent).map((snippet) => ({
    name: snippet.language,
    panel: element(
      'div',
      { class: 'code' },
      element(
        'pre',
        { tabindex: 0, 'aria-label': snippet.language },
        element('code', {}, snippet.code),
      ),
      makeCopyButton(snippet.code, snippet.language),
    ),
  }));
  const chosen = makeTabs('The same call as code', tabs, {
    chosen: language,
    onChoose: (at) => {
      language = at;
    },
  });
  return element(
    'div',
    { class: 'stack-small' },
    element('h2', { class: 'minor' }, 'The same call as code'),
    chosen,
  );
}

export function makeCopyButton(copied: string, what: string): HTMLElement {
  const word = element('span', { 'aria-live': 'polite' }, 'Copy');
  const copy = async () => {
    word.textContent = (await copyText(copied)) ? 'Copied' : 'Select and copy by hand';
    setTimeout(() => {
      word.textContent = 'Copy';
    }, 2000);
  };
  const text = [word, element('span', { class: 'only-read' }, ` ${what}`)];
  return makeButton(text, 'small copy', () => void copy());
}

/** Pages that came by plain HTTP have no clipboard. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
