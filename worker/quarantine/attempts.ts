// Attempts to load a model, remembered beyond the end of the process.
//
// A worker leaves a mark in a file while ONNX Runtime loads a model. If the marks of two processes that are gone are
// still there, the model may have ended them: it is a *suspect*, until an attempt comes to its end. One mark says little,
// since machines are taken away at any moment, and a trial doubles the next start. A process that was told to end takes
// its marks along.
//
// A mark counts where its process was, on the same machine or in the same container, because nobody else knows
// whether that is gone. Where no files can be written, nothing is remembered.

import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { namesIn } from '../../shared/files/names-in.js';
import type { Model } from '../../shared/registry/models.js';
import { packageDirectory } from '../../shared/version.js';

/** How many processes have to end while they load a model. */
const suspectMin = 2;

export class Attempts {
  readonly #folder: string;
  /** The marks of this process. */
  readonly #own = new Set<string>();

  /** @param cache the folder in which workers keep models, if there is one */
  constructor(cache: string | undefined) {
    const kept = cache ?? path.join(packageDirectory(), 'node_modules', '.cache', 'scoreline');
    this.#folder = path.join(kept, 'attempts');
  }

  /** Whether processes have ended while they loaded this model, one after the other. */
  isSuspect(model: Model): boolean {
    return this.#left(model).length >= suspectMin;
  }

  /** Marks the model. Returns a function to call when it is loaded or refused. */
  begin(model: Model): () => void {
    const left = this.#left(model);
    const mark = path.join(this.#folder, `${prefixOf(model)}${process.pid}.${Date.now()}`);
    this.#own.add(mark);
    write(mark);
    return () => {
      this.#own.delete(mark);
      for (const file of [mark, ...left]) remove(file);
    };
  }

  /** Removes the marks of this process, which is about to end for another reason. */
  forget(): void {
    for (const mark of this.#own) remove(mark);
    this.#own.clear();
  }

  /** Returns the marks of a model whose processes are gone. */
  #left(model: Model): string[] {
    const prefix = prefixOf(model);
    return namesIn(this.#folder)
      .filter(
        (name) => name.startsWith(prefix) && isGone(Number.parseInt(name.slice(prefix.length), 10)),
      )
      .map((name) => path.join(this.#folder, name))
      .filter((mark) => !this.#own.has(mark));
  }
}

function prefixOf({ queue }: Model): string {
  const text = `${queue}\n${os.hostname()}`;
  return `${createHash('sha256').update(text).digest('hex').slice(0, 32)}.`;
}

/** In a container, the process that is gone had the same number. */
function isGone(pid: number): boolean {
  if (pid === process.pid) return true;
  try {
    process.kill(pid, 0);
    return false;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

function write(file: string): void {
  try {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, '');
  } catch {}
}

function remove(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {}
}
