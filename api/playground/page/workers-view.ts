// The workers of a local run, each with a button that kills it: no request is lost.

import { makeButton } from './controls.js';
import { element, note } from './element.js';
import { showError } from './error-view.js';
import { killWorker, type Live } from './live.js';
import type { Service } from './service.js';

export interface WorkersView {
  readonly node: HTMLElement;
  show(workers: Live['localWorkers']): void;
}

export function makeWorkers(service: Service): WorkersView {
  const list = element('ul', { class: 'workers' });
  const status = element('p', { class: 'small muted', role: 'status' });
  const trouble = element('div', { class: 'trouble' });
  const node = element(
    'section',
    { class: 'card stack-small', hidden: true, 'aria-label': 'Kill a worker' },
    element('h2', {}, 'Kill a worker'),
    note(
      'Its process ends at once, in the middle of its batch. Another worker takes the batch over, and a new one starts.',
    ),
    list,
    status,
    trouble,
  );
  const kill = async (pid: number) => {
    try {
      await killWorker(service, pid);
      status.textContent = `The worker ${pid} was killed. It counts as live for up to ten more seconds.`;
      trouble.replaceChildren();
    } catch (thrown) {
      trouble.replaceChildren(showError(thrown));
    }
  };
  let shown = '';
  return {
    node,
    show(workers) {
      node.hidden = workers === undefined;
      const now = JSON.stringify(workers);
      if (!workers || now === shown) return;
      shown = now;
      list.replaceChildren(
        ...workers.map(({ pid, isReady }) =>
          element(
            'li',
            { class: 'row spread' },
            element(
              'span',
              { class: `state is-${isReady ? 'ready' : 'starting'}` },
              `process ${pid}, ${isReady ? 'ready' : 'starting'}`,
            ),
            makeButton('Kill', 'small danger', () => void kill(pid), {
              ...{ disabled: !isReady, 'aria-label': `Kill worker ${pid}` },
            }),
          ),
        ),
      );
    },
  };
}
