// The page at /: one view at a time, chosen by the fragment of the address, beside the list of models.

import { ScorelineError } from '../../../client/client.js';
import { makeButton } from './controls.js';
import { element } from './element.js';
import { showError } from './error-view.js';
import { readFragment } from './fragment.js';
import { isHelpWanted, reopenHelp, showHelp } from './help.js';
import { openKeyDialog } from './key-view.js';
import { showLive } from './live-view.js';
import { type Listed, ModelList } from './model-list.js';
import { showModels } from './models-view.js';
import { Rail } from './rail.js';
import { type ModelInfo, Service } from './service.js';
import { settings } from './settings.js';
import { finishSignIn } from './sign-in.js';
import { makeThemeSwitch } from './theme.js';
import { showTry } from './try-view.js';

const service = new Service();
const list = new ModelList(service);
const main = element('main', { id: 'main', tabindex: -1 });
const rail = new Rail();
const trouble = element('div', { class: 'trouble', role: 'status' });
const help = element('div', { class: 'help-place' });
const links = new Map(
  [
    ['try', '#/', 'Try it'],
    ['models', '#/models', 'Models'],
    ['live', '#/live', 'Live'],
  ].map(([view = '', href, name]) => [view, element('a', { href }, name)]),
);
const keyButton = makeButton(nameKey(), 'quiet', () => askForKey(), {
  hidden: !settings.isGuarded,
});

/** Whether a person was asked for the key, who may have said no. */
let isAsked = false;
let leave = new AbortController();
/** What the view was made for. Another list of models changes it only if that differs. */
let shown = '';

document.body.append(makeShell());
void start();

async function start(): Promise<void> {
  try {
    const token = await finishSignIn();
    if (token !== undefined) service.setKey(token);
  } catch (thrown) {
    isAsked = true;
    askForKey((thrown as Error).message);
  }
  addEventListener('hashchange', () => {
    show();
    main.focus({ preventScroll: true });
    scrollTo(0, 0);
  });
  list.listen(new AbortController().signal, (listed) => {
    rail.update(listed);
    trouble.replaceChildren(...showTrouble(listed));
    show();
    keyButton.textContent = nameKey();
    askIfRefused(listed);
  });
  await list.refresh();
}

/** What is shown stays while the service is away for a while. */
function showTrouble({ error, models }: Listed): HTMLElement[] {
  if (error === undefined || models.length === 0) return [];
  const isAnswer = error instanceof ScorelineError && error.problem !== undefined;
  const what = isAnswer ? error.message : 'The service does not answer at the moment.';
  return [element('p', { class: 'notice' }, what, ' This page asks again and again.')];
}

function askIfRefused({ error }: Listed): void {
  if (!isRefusal(error) || isAsked || document.querySelector('dialog')) return;
  isAsked = true;
  askForKey(service.key === undefined ? undefined : error.message);
}

function isRefusal(error: unknown): error is ScorelineError {
  return error instanceof ScorelineError && error.status === 401;
}

function makeShell(): DocumentFragment {
  const shell = document.createDocumentFragment();
  shell.append(
    element(
      'a',
      {
        class: 'skip',
        href: '#main',
        onclick: (event: Event) => {
          event.preventDefault();
          main.focus();
        },
      },
      'Skip to the content',
    ),
    element(
      'header',
      { class: 'top' },
      element('a', { class: 'brand', href: '#/' }, makeMark(), 'Scoreline'),
      element(
        'nav',
        { class: 'views', 'aria-label': 'Views' },
        [...links.values()],
        element('a', { href: 'docs' }, 'Docs'),
        element('a', { href: 'docs/api' }, 'API'),
      ),
      element(
        'div',
        { class: 'tools' },
        keyButton,
        makeButton('Help', 'quiet', openHelp),
        makeThemeSwitch(),
      ),
    ),
    element(
      'div',
      { class: 'frame' },
      rail.node,
      element('div', { class: 'content' }, trouble, help, main),
    ),
    element('footer', { class: 'bottom small muted' }, `Scoreline ${settings.version}`),
  );
  return shell;
}

function makeMark(): HTMLElement {
  return element(
    'span',
    { class: 'mark', 'aria-hidden': 'true' },
    element('span'),
    element('span'),
    element('span'),
  );
}

function askForKey(reason?: string): void {
  openKeyDialog(service, reason, () => {
    isAsked = false;
    void list.refresh();
  });
}

/** Names the button that asks for the key. */
function nameKey(): string {
  if (!settings.canSignIn) return 'Key';
  const isIn = service.key !== undefined && !isRefusal(list.listed?.error);
  return isIn ? 'Signed in' : 'Sign in';
}

/** Shows the view that the address names, unless it is shown already. */
function show(): void {
  const { listed } = list;
  if (!listed) return;
  const [view = '', name, version] = readFragment(location.hash);
  const model = chooseModel(listed.models, name, version);
  const isTry = view !== 'models' && view !== 'live';
  const now = isTry ? `try ${model?.queue ?? String(listed.error)}` : view;
  if (now === shown) return;
  shown = now;
  leave.abort();
  leave = new AbortController();
  const context = { service, list, signal: leave.signal };
  if (view === 'models') main.replaceChildren(showModels(context));
  else if (view === 'live') main.replaceChildren(showLive(context));
  else main.replaceChildren(model ? showTry(context, model) : showNothing(listed));
  mark(isTry ? 'try' : view, isTry ? model : undefined);
  showHelpOnce(listed);
}

function chooseModel(
  models: readonly ModelInfo[],
  name: string | undefined,
  version: string | undefined,
): ModelInfo | undefined {
  if (name === undefined)
    return models.find(({ output }) => output.kind === 'ranking') ?? models[0];
  return models.find(
    (model) => model.name === name && (version ?? model.version) === model.version,
  );
}

function mark(view: string, model: ModelInfo | undefined): void {
  for (const [name, link] of links) {
    if (name === view) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = `${model?.name ?? { models: 'Models', live: 'Live' }[view] ?? 'Try it'} · Scoreline`;
  rail.node.hidden = view !== 'try';
  rail.mark(model);
}

function showNothing({ error, models }: Listed): HTMLElement {
  if (error !== undefined) return showError(error);
  const text = models.length === 0 ? 'No model is served here.' : 'There is no such model.';
  return element('p', { class: 'notice' }, text);
}

function showHelpOnce({ models }: Listed): void {
  if (!isHelpWanted() || models.length === 0) return;
  help.replaceChildren(showHelp(models, () => help.replaceChildren()));
}

function openHelp(): void {
  reopenHelp();
  if (list.listed) showHelpOnce(list.listed);
  help.querySelector('a')?.focus();
}
