// Tabs, as the ARIA practices have them: arrow keys move, and only the chosen tab is in the tab order.

import { element, freshId } from './element.js';

export interface Tab {
  readonly name: string;
  readonly panel: HTMLElement;
}

export function makeTabs(
  label: string,
  tabs: readonly Tab[],
  { chosen = 0, onChoose }: { chosen?: number; onChoose?: (at: number) => void } = {},
): HTMLElement {
  const buttons = tabs.map(({ name, panel }) => {
    panel.id ||= freshId('panel');
    const button = element('button', {
      ...{ type: 'button', role: 'tab', id: freshId('tab'), 'aria-controls': panel.id },
    });
    button.textContent = name;
    panel.setAttribute('role', 'tabpanel');
    panel.setAttribute('aria-labelledby', button.id);
    return button;
  });
  const choose = (at: number) => {
    for (const [index, button] of buttons.entries()) {
      button.setAttribute('aria-selected', String(index === at));
      button.tabIndex = index === at ? 0 : -1;
      const panel = tabs[index]?.panel;
      if (panel) panel.hidden = index !== at;
    }
  };
  for (const [at, button] of buttons.entries()) {
    button.addEventListener('click', () => {
      choose(at);
      onChoose?.(at);
    });
    button.addEventListener('keydown', ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
      if (step === undefined) return;
      const next = buttons[(at + step + buttons.length) % buttons.length];
      next?.focus();
      next?.click();
    });
  }
  choose(Math.min(chosen, tabs.length - 1));
  const list = element('div', { class: 'tabs', role: 'tablist', 'aria-label': label }, buttons);
  return element(
    'div',
    { class: 'tabbed' },
    list,
    tabs.map(({ panel }) => panel),
  );
}
