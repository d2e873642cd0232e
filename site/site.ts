// The chapters as a site: a page for each, and the files that the pages load.

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { resolveLink } from './addresses.js';
import type { Group } from './chapters.js';
import { renderChapter } from './markdown.js';
import { writeChapter } from './page.js';
import type { SearchIndex } from './search-index.js';
import { style } from './style.js';

/**
 * Writes the files of the site, by their names. The pages are named as their chapters, with `.html`.
 * @param root the folder of the package
 */
export function writeSite(root: string, groups: readonly Group[]): Map<string, string | Buffer> {
  const chapters = groups.flatMap((group) => group.chapters);
  const pictures = readdirSync(path.join(root, 'docs')).filter((name) =>
    /\.(svg|webp)$/.test(name),
  );
  const places = { chapters, files: pictures.map((name) => `docs/${name}`) };
  const site = new Map<string, string | Buffer>();
  const found: SearchIndex['chapters'][number][] = [];
  for (const chapter of chapters) {
    const rendered = renderChapter(chapter.text, (href) => resolveLink(href, chapter, places));
    site.set(`${chapter.name}.html`, writeChapter(chapter, rendered, groups));
    found.push({ name: chapter.name, title: chapter.title, sections: rendered.sections });
  }
  for (const name of pictures) {
    site.set(name, readFileSync(path.join(root, 'docs', name)));
  }
  site.set('style.css', style);
  site.set('search.json', JSON.stringify({ chapters: found } satisfies SearchIndex));
  return site;
}
