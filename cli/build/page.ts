// Builds the page of the playground: one HTML file with its style and its script inside, and the samples beside it,
// into dist/api/playground, from where the API serves them.

import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'rolldown';
import { tokens } from '../../api/pages/tokens.js';
import { packageDirectory } from '../../shared/version.js';
import { fillFolder, replaceFile } from './fill-folder.js';

const source = path.join(packageDirectory(), 'api/playground');
const target = path.join(packageDirectory(), 'dist/api/playground');

/** Later rules win. */
const styles = [
  ...['base', 'shell', 'fields', 'models', 'answers', 'pictures', 'calls', 'jobs', 'tables'],
  ...['live', 'dialogs', 'phones', 'motion'],
];
const read = (file: string) => readFileSync(path.join(source, 'page', file), 'utf8');
const { output } = await build({
  input: path.join(source, 'page/page.ts'),
  output: { format: 'iife', minify: true },
  platform: 'browser',
  write: false,
});
const script = output[0].code.trim().replaceAll('</', '<\\/');
const style = minify([tokens, ...styles.map((name) => read(`style/${name}.css`))].join('\n'));

let page = read('page.html');
page = put(page, '<style></style>', `<style>${style}</style>`);
page = put(page, '<script></script>', `<script>${script}</script>`);
mkdirSync(target, { recursive: true });
replaceFile(path.join(target, 'page.html'), page);
const samples = readdirSync(path.join(source, 'samples')).map(
  (name) => [name, readFileSync(path.join(source, 'samples', name))] as const,
);
fillFolder(path.join(target, 'samples'), new Map(samples));

function put(text: string, place: string, piece: string): string {
  const [before, after, ...more] = text.split(place);
  if (after === undefined || more.length > 0) throw new Error(`Expected ${place} once.`);
  return `${before}${piece}${after}`;
}

/** The style holds no texts in which blanks count. */
function minify(css: string): string {
  return css
    .replace(/\/\*.*?\*\//gs, '')
    .replace(/\s+/g, ' ')
    .replace(/ ?([{};,]) ?/g, '$1')
    .replace(/: /g, ':')
    .trim();
}
