// Where the pages of the site are. The first chapter is at `docs`, and all others and the files of the site are
// below it. Links between them are relative, so they hold behind the path prefix of a proxy.

import path from 'node:path';
import type { Chapter } from './chapters.js';

/** Returns the address of a chapter or a file of the site, as seen from a chapter. */
export function addressOf(target: string, { name: from }: Pick<Chapter, 'name'>): string {
  if (target === 'index') return from === 'index' ? 'docs' : '../docs';
  return from === 'index' ? `docs/${target}` : target;
}

/** Leads from a chapter to the address of the service. */
export function rootOf({ name }: Pick<Chapter, 'name'>): string {
  return name === 'index' ? './' : '../';
}

/** Makes the anchors of headings as code hosts do, so a link holds there and here. */
export function makeAnchors(): (heading: string) => string {
  const taken = new Map<string, number>();
  return (heading) => {
    const anchor = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-');
    const count = taken.get(anchor) ?? 0;
    taken.set(anchor, count + 1);
    return count === 0 ? anchor : `${anchor}-${count}`;
  };
}

export type Target =
  | { readonly kind: 'outside'; readonly address: string }
  | { readonly kind: 'inside'; readonly address: string }
  /** A file of the repository that the site does not have. */
  | { readonly kind: 'file'; readonly file: string };

/** Finds out where a link of a chapter leads. */
export function resolveLink(
  href: string,
  from: Chapter,
  { chapters, files }: { chapters: readonly Chapter[]; files: readonly string[] },
): Target {
  if (/^[a-z]+:/.test(href)) return { kind: 'outside', address: href };
  if (href.startsWith('#')) return { kind: 'inside', address: href };
  const [place = '', anchor] = href.split('#', 2);
  const file = path.posix.join(path.posix.dirname(from.source), place);
  const chapter = chapters.find(({ source }) => source === file);
  const hash = anchor === undefined ? '' : `#${anchor}`;
  if (chapter) return { kind: 'inside', address: addressOf(chapter.name, from) + hash };
  if (files.includes(file)) {
    return { kind: 'inside', address: addressOf(path.posix.basename(file), from) };
  }
  return { kind: 'file', file };
}
