// Builds the page of the playground: one HTML file with its style and its script inside, and the samples beside it.
// Plain JavaScript like bootstrap.mjs, which runs it before anything else is built.

import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'rolldown';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const source = path.join(root, 'api/playground');
const target = path.join(root, 'dist/api/playground');

const { output } = await build({
  input: path.join(source, 'page/page.ts'),
  output: { format: 'iife', minify: true },
  platform: 'browser',
  write: false,
});
const [{ code }] = output;
/** What stands later wins. */
const styles = [
  ...['base', 'shell', 'fields', 'models', 'answers', 'pictures', 'calls', 'jobs', 'tables'],
  ...['live', 'dialogs', 'phones', 'motion'],
];
const style = styles
  .map((name) => readFileSync(path.join(source, `page/style/${name}.css`), 'utf8'))
  .join('\n');
const pieces = {
  '<style></style>': `<style>${minify(style)}</style>`,
  '<script></script>': `<script>${code.trim().replaceAll('</', '<\\/')}</script>`,
};
let page = readFileSync(path.join(source, 'page/page.html'), 'utf8');
for (const [place, piece] of Object.entries(pieces)) {
  const [before, after, ...more] = page.split(place);
  if (after === undefined || more.length > 0) throw new Error(`Expected ${place} once.`);
  page = `${before}${piece}${after}`;
}
mkdirSync(target, { recursive: true });
writeFileSync(path.join(target, 'page.html'), page);
cpSync(path.join(source, 'samples'), path.join(target, 'samples'), { recursive: true });

/** The style holds no texts in which blanks count. */
function minify(css) {
  return css
    .replace(/\/\*.*?\*\//gs, '')
    .replace(/\s+/g, ' ')
    .replace(/ ?([{};,]) ?/g, '$1')
    .replace(/: /g, ':')
    .trim();
}
