// The folder of models while a process runs. `look` finds out what has changed and reads it again.
//
// Times and sizes of files are compared, not events: network shares and volumes of containers send none. A change is
// read at the next look that finds the folder of its model at rest, so half of a copy is rarely seen. What cannot be
// read changes nothing: the model that was last read from the same place stays, and the reason is left out.

import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { listModels } from '../manifest/file.js';
import { labelFilesOf } from '../manifest/labels.js';
import { codeFiles } from '../python/code.js';
import { filesOf } from './files.js';
import { type LeftOut, whyLeftOut } from './left-out.js';
import {
  type Asked,
  askedByName,
  type Collected,
  type CollectedVersions,
  collectVersions,
  latestFirst,
  type Model,
  type ModelChoice,
} from './models.js';
import { plainTraffic, type Traffic } from './traffic.js';
import { compareVersions } from './version-order.js';

/** The state of a model's files, as a text. */
type Stamp = string;

interface Known {
  versions: CollectedVersions;
  /** Undefined until the first look. */
  stamp: Stamp | undefined;
  /** Another state, which the last look found. */
  unsettled?: Stamp | undefined;
}

export class ModelFolder {
  readonly #choice: ModelChoice;
  readonly #known = new Map<string, Known>();
  /** Known models that the last look did not find. */
  #missing: ReadonlySet<string> = new Set();

  /** @param first what has been read already */
  constructor(choice: ModelChoice, first: Collected) {
    this.#choice = choice;
    for (const [name, traffic] of first.traffic) {
      const isOfName = (of: { name: string }) => of.name === name;
      const versions = {
        ...{ name, traffic },
        models: first.models.filter(isOfName),
        leftOut: first.leftOut.filter(isOfName),
      };
      this.#known.set(name, { versions, stamp: undefined });
    }
  }

  get models(): readonly Model[] {
    return [...this.#known.values()].flatMap(({ versions }) => versions.models);
  }

  get leftOut(): readonly LeftOut[] {
    return [...this.#known.values()].flatMap(({ versions }) => versions.leftOut);
  }

  /** Whether a model is in the folder, and not among those that are to be served. */
  isUnnamed(name: string): boolean {
    const { directory, names } = this.#choice;
    return (
      names !== undefined && !askedByName(names).has(name) && listModels(directory).includes(name)
    );
  }

  /** Returns how the requests to a model are shared; undefined if that could never be read. */
  trafficOf(name: string): Traffic | undefined {
    return this.#known.get(name)?.versions.traffic;
  }

  /**
   * Reads the folders that have changed and are at rest. Returns the names of their models.
   * @param options.isUrgent whether a change is read at once, because somebody says that it is complete
   */
  async look({ isUrgent = false } = {}): Promise<ReadonlySet<string>> {
    const { directory, names } = this.#choice;
    // A folder that is not there for a moment, such as a mount, takes nothing away. Where it is mounted, it is empty.
    const entries = await readdir(directory).catch(() => []);
    const visible = entries.filter((entry) => !entry.startsWith('.'));
    if (visible.length === 0) return new Set();
    const groups = askedByName(names ?? visible.sort());
    const changed = new Set(this.#forgetAllBut(groups, isUrgent));
    let here: readonly string[] | undefined;
    // Looks into the folder of each model, so once for all that are read.
    const listHere = () => (here ??= listModels(directory));
    for (const [name, asked] of groups) {
      const known = this.#known.get(name)?.versions ?? noneOf(name);
      const stamp = await stampOf(path.join(directory, name), known);
      if (this.#isDue(name, stamp, isUrgent)) {
        this.#read({ name, asked }, stamp, listHere);
        changed.add(name);
      }
    }
    return changed;
  }

  /** Forgets the models that are gone at two looks. */
  #forgetAllBut(names: ReadonlyMap<string, unknown>, isUrgent: boolean): readonly string[] {
    const missing = [...this.#known.keys()].filter((name) => !names.has(name));
    const gone = missing.filter((name) => isUrgent || this.#missing.has(name));
    for (const name of gone) this.#known.delete(name);
    this.#missing = new Set(missing);
    return gone;
  }

  #isDue(name: string, stamp: Stamp, isUrgent: boolean): boolean {
    const known = this.#known.get(name);
    // The first look finds what the process has read when it started, unless a file changed meanwhile.
    if (known?.stamp === stamp) {
      known.unsettled = undefined;
      return isUrgent && known.versions.leftOut.length > 0;
    }
    if (isUrgent || known?.unsettled === stamp) return true;
    if (known) known.unsettled = stamp;
    else this.#known.set(name, { versions: noneOf(name), stamp: undefined, unsettled: stamp });
    return false;
  }

  #read(model: Asked, stamp: Stamp, listHere: () => readonly string[]): void {
    const { name } = model;
    const { names } = this.#choice;
    const before = this.#known.get(name)?.versions ?? noneOf(name);
    let read: CollectedVersions;
    try {
      const here = listHere();
      const isModel = names !== undefined || here.includes(name);
      read = isModel ? collectVersions(model, this.#choice, here) : noneOf(name);
    } catch (thrown) {
      // A queue that was named is not there any more.
      const leftOut = [{ name, error: whyLeftOut(name, thrown) }];
      this.#known.set(name, { versions: { ...before, leftOut }, stamp });
      return;
    }
    this.#known.set(name, { versions: keepLast(read, before), stamp });
  }
}

/**
 * Adds the models that were last read from the places where there is something else now that cannot be read. If nothing
 * can be read, those of before stay, wherever they were.
 */
function keepLast(read: CollectedVersions, before: CollectedVersions): CollectedVersions {
  const kept = before.models.filter(
    ({ folder, version }) =>
      read.leftOut.some((each) => each.folder === folder) &&
      !read.models.some((model) => model.version === version),
  );
  const readable = [...read.models, ...kept];
  const models = readable.length === 0 && read.leftOut.length > 0 ? before.models : readable;
  const traffic = read.traffic ?? pinned(before);
  const sorted = models.toSorted((a, b) => compareVersions(a.version, b.version));
  return { ...read, traffic, models: latestFirst(sorted, traffic ?? plainTraffic) };
}

/**
 * Returns the traffic of before for a folder whose file cannot be read now. A version that is new there answers
 * nothing, since nobody knows how it was meant.
 */
function pinned({ traffic, models }: CollectedVersions): Traffic | undefined {
  const latest = models[0]?.version;
  const isPinned = !traffic || latest === undefined || traffic.latest !== undefined;
  return isPinned || traffic.weights ? traffic : { ...traffic, latest };
}

function noneOf(name: string): CollectedVersions {
  return { name, models: [], leftOut: [], traffic: undefined };
}

/** The files beside those of known models that say what is served, or are the code of programs. */
const telling = /\.(?:py|ya?ml|json)$/;

/**
 * Returns a text that changes with the folder of a model: with the names in it and in its versions, with the files
 * of the models that are known, and with every file of those that are left out, since any may be the reason. While a
 * file of a known model arrives under another name, such as `.model.onnx.Xy34` or `model.onnx.part`, the text changes, too.
 */
async function stampOf(
  folder: string,
  { models, leftOut }: Pick<CollectedVersions, 'models' | 'leftOut'>,
): Promise<Stamp> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const files = new Set([folder]);
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue;
    const place = path.join(folder, entry.name);
    if (telling.test(entry.name)) files.add(place);
    else if (!entry.isFile()) files.add(place).add(path.join(place, 'model.yaml'));
  }
  for (const model of models) {
    const own = [
      ...filesOf(model).map((file) => file.path),
      ...labelFilesOf(model.manifest).map(({ file }) => path.join(model.folder, file)),
      ...codeOf(model).map((file) => path.join(model.folder, file)),
    ];
    files.add(model.folder);
    for (const file of own) files.add(file);
    const names = own.map((file) => path.basename(file));
    for (const beside of await readdir(model.folder).catch(() => [])) {
      if (names.some((name) => beside.includes(name))) files.add(path.join(model.folder, beside));
    }
  }
  for (const { folder: place } of leftOut) {
    const names = place === undefined ? [] : await readdir(place).catch(() => []);
    for (const name of names) if (!name.startsWith('.')) files.add(path.join(place ?? '', name));
  }
  const parts: string[] = [];
  for (const file of files) {
    const found = await stat(file).catch(() => undefined);
    if (!found) continue;
    // Archives and images may give all files one time, and a changed number has as many digits.
    const { mtimeMs, ctimeMs, ino } = found;
    parts.push([file, mtimeMs, ...(found.isFile() ? [found.size, ctimeMs, ino] : [])].join(' '));
  }
  return parts.join('\n');
}

/** Returns the files of a program, relative to its folder; none if one of them is gone, which its folder tells. */
function codeOf({ folder, name, manifest: { source } }: Model): readonly string[] {
  if (source.engine !== 'python') return [];
  try {
    return codeFiles(folder, name, source);
  } catch {
    return [];
  }
}
