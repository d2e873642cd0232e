// The button that sends a burst, and what became of it.

import { sendBurst, type Tally, takesBursts } from './burst.js';
import { labelled, makeButton, makeForm } from './controls.js';
import { element, freshId, note } from './element.js';
import { showError } from './error-view.js';
import { ms } from './format.js';
import { countOf } from './model-list.js';
import type { ModelInfo, Service } from './service.js';

const counts = [200, 1000, 5000];

export function makeBurst(
  service: Service,
  signal: AbortSignal,
  chosen: () => ModelInfo | undefined,
): HTMLElement {
  const count = element(
    'select',
    { id: freshId('count') },
    counts.map((each) =>
      element('option', { value: each, selected: each === 1000 }, countOf(each, 'request')),
    ),
  );
  const patience = element(
    'select',
    { id: freshId('patience') },
    element('option', { value: 'patient' }, 'wait for their turn'),
    element('option', { value: 'impatient' }, 'give up after 1.5 s'),
  );
  const progress = element('progress', { hidden: true, 'aria-label': 'Progress of the burst' });
  const outcome = element('p', { role: 'status', class: 'burst-outcome' });
  const send = makeButton('Send the burst', 'primary');
  const run = async () => {
    const model = chosen();
    const isPatient = patience.value === 'patient';
    if (!model || !takesBursts(model, isPatient)) {
      outcome.textContent =
        'There is nothing to send to this model. Choose one of texts or pictures.';
      return;
    }
    send.disabled = true;
    progress.hidden = false;
    progress.removeAttribute('value');
    outcome.textContent = '';
    const startedAt = performance.now();
    try {
      const tally = await sendBurst(service, {
        ...{ model, isPatient, signal },
        count: Number(count.value),
        onTally: (now) => {
          progress.max = now.count;
          progress.value = endedOf(now);
        },
      });
      outcome.textContent = sayTally(model, tally, performance.now() - startedAt);
    } catch (thrown) {
      if (!signal.aborted) outcome.replaceChildren(showError(thrown));
    } finally {
      progress.hidden = true;
      send.disabled = false;
    }
  };
  return makeForm(
    { class: 'card stack-small' },
    () => void run(),
    element('h2', {}, 'Send a burst'),
    note('Watch how batches grow, what is refused, and how the service recovers.'),
    element(
      'div',
      { class: 'row fields' },
      labelled('How many', count),
      labelled('They', patience),
      send,
    ),
    progress,
    outcome,
  );
}

function endedOf({ answered, refused, late, failed }: Tally): number {
  return answered + refused + late + failed;
}

/** Names the model, since another one may be chosen by now. */
function sayTally({ name, version }: ModelInfo, tally: Tally, tookMs: number): string {
  const { count, answered, refused, late, failed } = tally;
  const parts = [
    `${answered.toLocaleString('en')} answered`,
    refused > 0 && `${refused.toLocaleString('en')} refused at once`,
    late > 0 && `${late.toLocaleString('en')} not in time`,
    failed > 0 && `${failed.toLocaleString('en')} failed`,
  ].filter((part) => part !== false);
  const lost = count - endedOf(tally);
  return `${countOf(count, 'request')} to ${name}, version ${version}, in ${ms(tookMs)}: ${parts.join(', ')}. ${lost === 0 ? 'None was lost.' : `${lost} have no answer.`}`;
}
