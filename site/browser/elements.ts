/** Returns the element with this id, which each page has. */
export function byId<T extends HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found)
    throw new Error(`Expected an element with the id ${id}; there is none. This is a bug.`);
  return found as T;
}

/** Makes an element. Texts in it are texts, whatever they hold. */
export function element(
  tag: string,
  attributes: Readonly<Record<string, string>>,
  ...children: readonly (Node | string)[]
): HTMLElement {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}
