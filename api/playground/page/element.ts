// Makes elements. Text is always text: nothing here reads HTML.

export type Child = Node | string | number | undefined | false | readonly Child[];

type Listener = (event: never) => void;
export type Attributes = Readonly<Record<string, string | number | boolean | undefined | Listener>>;

/** Makes an element. An attribute that is a function listens: `onclick`. `false` leaves an attribute out. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  return fill(document.createElement(tag), attributes, children);
}

/** Makes a paragraph of small print. */
export function note(...children: readonly Child[]): HTMLElement {
  return element('p', { class: 'small muted' }, ...children);
}

/** Makes an element of a drawing. */
export function drawing<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[Tag] {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attributes, children);
}

function fill<Made extends Element>(
  made: Made,
  attributes: Attributes,
  children: readonly Child[],
): Made {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') {
      made.addEventListener(name.slice(2), value as unknown as EventListener);
    } else if (value === true) made.setAttribute(name, '');
    else if (value !== undefined && value !== false) made.setAttribute(name, String(value));
  }
  append(made, children);
  return made;
}

export function append(parent: Node, children: readonly Child[]): void {
  for (const child of children) {
    if (child === undefined || child === false) continue;
    if (Array.isArray(child)) append(parent, child);
    else parent.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

let ids = 0;

/** Returns an id for an element that another one names. */
export function freshId(what: string): string {
  ids += 1;
  return `${what}-${ids}`;
}
