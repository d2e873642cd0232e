// HTML from templates. Everything that is put into one is escaped, unless it is HTML itself.

export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export type Child = Html | string | number | undefined | readonly Child[];

export function html(parts: TemplateStringsArray, ...children: readonly Child[]): Html {
  const text = parts.map((part, at) => part + write(children[at])).join('');
  return new Html(text);
}

function write(child: Child): string {
  if (child === undefined) return '';
  if (child instanceof Html) return child.text;
  if (typeof child === 'object') return child.map(write).join('');
  return escapeText(String(child));
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Escapes a text for an element or an attribute. */
export function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => entities[character] as string);
}

/** Shows a text of the description: paragraphs, lists of lines that begin with `- `, and code in backticks. */
export function prose(text: string): Html[] {
  return text.split(/\n\n+/).map((block) => {
    if (!block.startsWith('- ')) return html`<p>${inline(block)}</p>`;
    const items = block.slice(2).split(/\n- /);
    return html`<ul>${items.map((item) => html`<li>${inline(item)}</li>`)}</ul>`;
  });
}

export function inline(text: string): Child[] {
  return text.split('`').map((part, at) => (at % 2 === 1 ? html`<code>${part}</code>` : part));
}
