// Builds the docs as a site: a page for each chapter, into dist/docs, from where the API serves them.

import path from 'node:path';
import { build } from 'rolldown';
import { packageDirectory } from '../../shared/version.js';
import { readChapters } from '../../site/chapters.js';
import { writeSite } from '../../site/site.js';
import { fillFolder } from './fill-folder.js';

const root = packageDirectory();

const site = writeSite(root, readChapters(root));
const { output } = await build({
  input: path.join(root, 'site/browser/page.ts'),
  output: { format: 'iife', minify: true },
  platform: 'browser',
  write: false,
});
site.set('page.js', output[0].code);
fillFolder(path.join(root, 'dist/docs'), site);
