// The chapters of the docs as pages. They are built with the program (cli/build/docs.ts), hold nothing that is secret,
// and are open to all.

import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Express, Request, Response } from 'express';
import { ScorelineError } from '../../../shared/errors.js';
import { namesIn } from '../../../shared/files/names-in.js';
import { packageDirectory } from '../../../shared/version.js';
import { policyOf } from '../../pages/policy.js';
import { sendCompressed } from '../answers/compression.js';
import { sendParts } from '../answers/json.js';
import { allow } from '../gate/methods.js';

interface File {
  readonly bytes: Buffer;
  readonly type: string;
  readonly tag: string;
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml; charset=utf-8',
  '.webp': 'image/webp',
};

/** Their own files and nothing else. The styles of pictures are inside them. */
const policy = policyOf(
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
);

const readOnly = allow('GET', 'HEAD');

export function addDocsRoutes(app: Express): void {
  let files: ReadonlyMap<string, File> | undefined;
  const find = (name: string): File | undefined => {
    files ??= readFiles(path.join(packageDirectory(), 'dist/docs'));
    return files.get(name);
  };

  app.all('/docs', readOnly);
  app.get('/docs', (request, response) => {
    const file = find('index.html');
    if (!file) throw notBuilt();
    // A slash at the end would lead its links astray.
    if (request.path.endsWith('/')) return sendAway(response, '../docs');
    return send(request, response, file);
  });

  app.use('/docs', (request, response, next) => {
    const name = request.path.slice(1);
    const file = find(name) ?? find(`${name}.html`);
    if (!file || name.startsWith('index')) return next();
    return readOnly(request, response, () => void send(request, response, file).catch(next));
  });
}

function readFiles(folder: string): ReadonlyMap<string, File> {
  const names = namesIn(folder).filter((name) => path.extname(name) in types);
  const read = (name: string): File => {
    const bytes = readFileSync(path.join(folder, name));
    const digest = hash('sha256', bytes, 'base64url').slice(0, 22);
    return { bytes, type: types[path.extname(name)] as string, tag: `"${digest}"` };
  };
  return new Map(names.map((name) => [name, read(name)]));
}

async function send(request: Request, response: Response, file: File): Promise<void> {
  const { bytes, type, tag } = file;
  // In the case in which answer-headers.ts has them, since they take the place of those.
  const headers = {
    'cache-control': 'private, no-cache',
    'content-security-policy': policy,
    ETag: tag,
  };
  if (request.headers['if-none-match'] === tag) {
    response.writeHead(304, headers);
    return void response.end();
  }
  const all = { ...headers, 'Content-Type': type };
  if (type === types['.webp']) sendParts(response, [bytes], all);
  else await sendCompressed(response, bytes, all);
}

function sendAway(response: Response, address: string): void {
  response.writeHead(308, { Location: address, 'Content-Length': 0 });
  response.end();
}

function notBuilt(): ScorelineError {
  return new ScorelineError('not_found', 'The docs are not built here. Run: npm run build');
}
