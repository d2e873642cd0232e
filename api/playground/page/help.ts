// What a person sees the first time: what this is, and three things to try.

import { makeButton } from './controls.js';
import { element, note } from './element.js';
import { keep } from './kept.js';
import { addressOf } from './models-view.js';
import type { ModelInfo } from './service.js';

const kept = keep('help', 'always');

export function isHelpWanted(): boolean {
  return kept.read() !== 'closed';
}

const counted = ['Nothing', 'One thing', 'Two things', 'Three things'];

interface Try {
  readonly href: string;
  readonly what: string;
  readonly rest: string;
}

export function showHelp(models: readonly ModelInfo[], onClose: () => void): HTMLElement {
  const tries = triesOf(models);
  return element(
    'section',
    { class: 'help card', 'aria-label': 'First steps' },
    element(
      'div',
      { class: 'row spread' },
      element('h2', {}, 'What you are looking at'),
      makeButton('Close', 'small quiet', () => {
        kept.write('closed');
        onClose();
      }),
    ),
    element(
      'p',
      {},
      `Each request goes into a queue in Redis, is batched with its neighbours, and is scored by a worker. The answer comes back in the same response, and no worker that dies can lose it. ${counted[tries.length]} to try:`,
    ),
    element(
      'ol',
      { class: 'tries' },
      tries.map(({ href, what, rest }) => element('li', {}, element('a', { href }, what), rest)),
    ),
    note(
      'Everything here is plain HTTP: ',
      element('a', { href: 'docs' }, 'the documentation'),
      ' has each address.',
    ),
  );
}

export function reopenHelp(): void {
  kept.write(undefined);
}

function triesOf(models: readonly ModelInfo[]): readonly Try[] {
  const faq = models.find(({ output }) => output.kind === 'ranking');
  const pictures = models.find(({ input }) => input.kind === 'image');
  const [other] = models;
  const tries: Try[] = [];
  if (faq) {
    const rest = ' and see which known one it means, as you type.';
    tries.push({ href: addressOf(faq), what: 'Ask a question', rest });
  }
  if (pictures) {
    const rest = ', or several at once, and see what the network sees.';
    tries.push({ href: addressOf(pictures), what: 'Show it a picture', rest });
  }
  if (other && tries.length === 0) {
    const rest = ' and see its answer, and where the time went.';
    tries.push({ href: addressOf(other), what: `Score the example of ${other.name}`, rest });
  }
  const rest = ' and watch batching, refusals and recovery.';
  return [...tries, { href: '#/live', what: 'Send a burst', rest }];
}
