// Builds the docs as a site: a page for each chapter, into dist/docs, from where the API serves them.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'rolldown';
import { packageDirectory } from '../shared/version.js';
import { readChapters } from '../site/chapters.js';
import { writeSite } from '../site/site.js';

const root = packageDirectory();
const target = path.join(root, 'dist/docs');

const site = writeSite(root, readChapters(root));
const { output } = await build({
  input: path.join(root, 'site/browser/page.ts'),
  output: { format: 'iife', minify: true },
  platform: 'browser',
  write: false,
});
site.set('page.js', output[0].code);
rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
for (const [name, text] of site) writeFileSync(path.join(target, name), text);
