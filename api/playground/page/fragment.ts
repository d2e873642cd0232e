// The fragment of the page's address: the view, and for some a model and its version.

/** Returns the parts of a fragment. One that nobody encoded right stays as it is, and names no model. */
export function readFragment(fragment: string): string[] {
  return fragment
    .replace(/^#\/?/, '')
    .split('/')
    .map((part) => {
      try {
        return decodeURIComponent(part);
      } catch {
        return part;
      }
    });
}
