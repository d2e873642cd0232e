import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { beforeEach, expect, test } from 'vitest';
import { fillFolder } from '../../cli/build/fill-folder.js';
import { makeFolder } from './sample-model.js';

let parent: string;
let folder: string;
const files = (content: string) =>
  new Map(['a.html', 'b.html', 'page.js'].map((name) => [name, content.repeat(200_000)]));

beforeEach(() => {
  parent = makeFolder({});
  folder = path.join(parent, 'docs');
});

test('a folder has these files afterwards, and no others', () => {
  mkdirSync(path.join(folder, 'old'), { recursive: true });
  writeFileSync(path.join(folder, 'old/page.html'), 'old');
  writeFileSync(path.join(folder, 'b.html'), 'old');
  fillFolder(folder, files('x'));
  expect(readdirSync(folder).toSorted()).toEqual(['a.html', 'b.html', 'page.js']);
  expect(readFileSync(path.join(folder, 'b.html'), 'utf8')).toBe('x'.repeat(200_000));
  expect(readdirSync(parent)).toEqual(['docs']);
});

test('whoever reads meanwhile finds each file, and the whole of it', async () => {
  fillFolder(folder, files('x'));
  const reader = new Worker(
    `const { readFileSync } = require('node:fs');
    const { parentPort, workerData: { folder } } = require('node:worker_threads');
    let isOver = false;
    parentPort.on('message', () => { isOver = true; });
    parentPort.postMessage('ready');
    (async () => {
      const seen = new Set();
      let reads = 0;
      while (!isOver) {
        const text = readFileSync(folder + '/page.js', 'utf8');
        seen.add(text.length + text[0] + (text === text[0].repeat(text.length)));
        reads++;
        await new Promise(setImmediate);
      }
      parentPort.postMessage({ seen: [...seen].sort(), reads });
      parentPort.close();
    })();`,
    { eval: true, workerData: { folder } },
  );
  const [, result] = await new Promise<[unknown, { seen: string[]; reads: number }]>(
    (resolve, reject) => {
      reader.once('error', reject);
      reader.once('message', async (ready) => {
        reader.once('message', (read) => resolve([ready, read]));
        for (let at = 0; at < 200; at++) {
          fillFolder(folder, files(at % 2 === 0 ? 'y' : 'x'));
          await nextTurn();
        }
        reader.postMessage('over');
      });
    },
  );
  expect(result.reads).toBeGreaterThan(1);
  expect(new Set([...result.seen, '200000xtrue', '200000ytrue']).size).toBe(2);
});
