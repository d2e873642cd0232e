// A request that is answered later: its job, from state to state as server-sent events tell them.

import { type Job, ScorelineError } from '../../../client/client.js';
import { sayAnswer, showAnswer } from './answer-view.js';
import { type Asked, submit } from './asking.js';
import { showCall } from './call-view.js';
import { makeButton } from './controls.js';
import { element, note } from './element.js';
import { showError } from './error-view.js';
import { ms } from './format.js';
import { type ModelInfo, type Service, serviceUrl } from './service.js';
import { settings } from './settings.js';
import type { Sent } from './snippets.js';

const steps = ['queued', 'running', 'succeeded'] as const;

interface Following {
  readonly asked: Asked;
  readonly sent: Sent;
  readonly signal: AbortSignal;
  readonly place: HTMLElement;
}

/** Submits a job, and follows it until it has ended or the signal aborts. */
export async function followNewJob(
  service: Service,
  model: ModelInfo,
  { asked, sent, signal, place }: Following,
): Promise<void> {
  place.replaceChildren(element('p', { class: 'muted', role: 'status' }, 'Submitting …'));
  try {
    const job = await submit(service, model, { asked, signal });
    const card = new JobCard(job.id, () => service.client.cancel(job.id));
    place.replaceChildren(card.node);
    for await (const event of service.client.events(job.id, { signal })) {
      if (event.type === 'position') card.showPlace(event);
      else {
        card.show(event.job);
        showEnd(model, event.job, { sent, place });
      }
    }
  } catch (thrown) {
    if (!signal.aborted) place.append(showError(thrown));
  }
}

function showEnd(
  model: ModelInfo,
  job: Job,
  { sent, place }: Pick<Following, 'sent' | 'place'>,
): void {
  if (job.state === 'succeeded') {
    const { result } = job;
    place.append(
      element('p', { class: 'only-read', role: 'status' }, sayAnswer(result)),
      showAnswer(model, result),
      showCall(sent, { answer: result }),
    );
  } else if (job.state === 'failed') {
    const { detail, ...parts } = job.problem;
    place.append(showError(new ScorelineError(detail, parts)));
  }
}

/** A link shows no key, so where there are keys the address is only named. */
function showLink(id: string): HTMLElement {
  const address = `${serviceUrl}v1/jobs/${id}`;
  const code = element('code', {}, address);
  const link = settings.isGuarded
    ? code
    : element('a', { href: address, target: '_blank', rel: 'noopener' }, code);
  return note('Its result stays at ', link);
}

class JobCard {
  readonly node: HTMLElement;
  readonly #state = element('strong', {}, 'queued');
  readonly #place = element('span', { class: 'muted' });
  readonly #steps = steps.map((step) => element('li', {}, step));
  readonly #trouble = element('div', { class: 'trouble' });
  readonly #cancel: HTMLButtonElement;

  constructor(id: string, cancel: () => Promise<unknown>) {
    const explain = (thrown: unknown) => this.#trouble.replaceChildren(showError(thrown));
    this.#cancel = makeButton('Cancel', 'small', () => void cancel().catch(explain));
    this.node = element(
      'section',
      { class: 'job', 'aria-label': 'Job' },
      element(
        'div',
        { class: 'row spread' },
        element('p', { role: 'status' }, 'The job is ', this.#state, '. ', this.#place),
        this.#cancel,
      ),
      element('ol', { class: 'steps', 'aria-hidden': 'true' }, this.#steps),
      showLink(id),
      this.#trouble,
    );
  }

  show({ state }: Job): void {
    this.#state.textContent = state;
    const reached = (steps as readonly string[]).indexOf(state);
    for (const [at, step] of this.#steps.entries()) {
      step.className = reached < 0 ? 'is-off' : at <= reached ? 'is-done' : '';
    }
    const isOver = state !== 'queued' && state !== 'running';
    this.#cancel.hidden = isOver;
    if (state !== 'queued') this.#place.textContent = '';
    if (state === 'cancelled') this.#place.textContent = 'No worker scores it any more.';
  }

  showPlace({
    position,
    estimatedWaitMs,
  }: {
    position?: number | undefined;
    estimatedWaitMs?: number | undefined;
  }): void {
    const wait = estimatedWaitMs === undefined ? '' : `, about ${ms(estimatedWaitMs)} to wait`;
    this.#place.textContent =
      position === undefined ? '' : `Number ${position} in the line${wait}.`;
  }
}
