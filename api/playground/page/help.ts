// What a person sees the first time: what this is, and three things to try.

import { element } from './element.js';
import { keep } from './kept.js';
import { addressOf } from './models-view.js';
import type { ModelInfo } from './service.js';

const kept = keep('help', 'always');

export function isHelpWanted(): boolean {
  return kept.read() !== 'closed';
}

export function showHelp(models: readonly ModelInfo[], onClose: () => void): HTMLElement {
  const faq = models.find(({ output }) => output.kind === 'ranking');
  const pictures = models.find(({ input }) => input.kind === 'image');
  return element(
    'section',
    { class: 'help card', 'aria-label': 'First steps' },
    element(
      'div',
      { class: 'row spread' },
      element('h2', {}, 'What you are looking at'),
      element(
        'button',
        {
          type: 'button',
          class: 'button small quiet',
          onclick: () => {
            kept.write('closed');
            onClose();
          },
        },
        'Close',
      ),
    ),
    element(
      'p',
      {},
      'Each request goes into a queue in Redis, is batched with its neighbours, and is scored by a worker. The answer comes back in the same response, and no worker that dies can lose it. Three things to try:',
    ),
    element(
      'ol',
      { class: 'tries' },
      faq &&
        element(
          'li',
          {},
          element('a', { href: addressOf(faq) }, 'Ask a question'),
          ' and see which known one it means, as you type.',
        ),
      pictures &&
        element(
          'li',
          {},
          element('a', { href: addressOf(pictures) }, 'Show it a picture'),
          ', or several at once, and see what the network sees.',
        ),
      element(
        'li',
        {},
        element('a', { href: '#/live' }, 'Send a burst'),
        ' and watch batching, refusals and recovery.',
      ),
    ),
    element(
      'p',
      { class: 'small muted' },
      'Everything here is plain HTTP: ',
      element('a', { href: 'docs' }, 'the documentation'),
      ' has each address.',
    ),
  );
}

export function reopenHelp(): void {
  kept.write(undefined);
}
