// Finds the pictures and other files of a folder and of the folders in it. Links are followed.

import { readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';

/** Paths within the folder. */
export interface Found {
  /** In order. A link that leads nowhere is among them if its name is that of a picture. */
  readonly pictures: readonly string[];
  /** Other links that lead nowhere. Each may have been a folder. */
  readonly brokenLinks: readonly string[];
  /** Files whose names are not those of pictures. */
  readonly others: readonly string[];
}

interface Search {
  readonly folder: string;
  readonly pictures: string[];
  readonly brokenLinks: string[];
  readonly others: string[];
}

/** Pictures of formats that the service does not accept fail, since somebody waits for their answers. */
const endings = /\.(jpe?g|jpe|jfif|png|webp|gif|tiff?|avif|bmp|heic|heif|jp2|jxl)$/i;

export async function findFiles(folder: string): Promise<Found> {
  const search: Search = { folder, pictures: [], brokenLinks: [], others: [] };
  await searchIn('', [await realpath(folder)], search);
  const { pictures, brokenLinks, others } = search;
  return {
    pictures: pictures.toSorted(),
    brokenLinks: brokenLinks.toSorted(),
    others: others.toSorted(),
  };
}

/** @param above the folders on the way to this one, itself included; a link to one of them would never end */
async function searchIn(place: string, above: readonly string[], search: Search): Promise<void> {
  const entries = await readdir(path.join(search.folder, place), { withFileTypes: true });
  for (const entry of entries) {
    const name = path.join(place, entry.name);
    const full = path.join(search.folder, name);
    const target = entry.isSymbolicLink() ? await stat(full).catch(() => undefined) : entry;
    if (target?.isDirectory()) {
      const real = await realpath(full);
      if (!above.includes(real)) await searchIn(name, [...above, real], search);
    } else if (!target || target.isFile()) {
      if (endings.test(name)) search.pictures.push(name);
      else if (target) search.others.push(name);
      else search.brokenLinks.push(name);
    }
  }
}
