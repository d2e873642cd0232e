// The page at `/`, and the pictures that it offers. cli/build/page.ts builds the page into one file; this file adds what
// the page must know of the service, and compresses it once.
//
// The page is one answer, with its style and its script inside. The policy names both by their digest, so a browser
// runs nothing else, and it lets the page talk to its own service only.

import { hash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { policyOf } from '../pages/policy.js';

/** What the page is told of the service. The page's own settings.ts reads it. */
export interface PageSettings {
  readonly version: string;
  /** Whether callers must show a key or a token. */
  readonly isGuarded: boolean;
  /** Whether they may show a key. */
  readonly takesKeys: boolean;
  /** Whether people can sign in with this browser. */
  readonly canSignIn: boolean;
  /** Where a trace can be looked at. `{traceId}` stands for its id. */
  readonly traceUrl?: string | undefined;
}

export type PageEncoding = 'identity' | 'gzip' | 'br';

export type Playground = ReturnType<typeof openPlayground>;

const pageFile = fileURLToPath(new URL('./page.html', import.meta.url));
const samplesFolder = fileURLToPath(new URL('./samples', import.meta.url));

/** Whether the page was built. */
export function isPageBuilt(): boolean {
  return existsSync(pageFile);
}

export function openPlayground(settings: PageSettings) {
  const built = readFileSync(pageFile, 'utf8');
  const text = writeSettings(built, settings);
  const samples = new Map(
    readdirSync(samplesFolder)
      .filter((name) => name.endsWith('.jpg'))
      .map((name) => [name, readFileSync(`${samplesFolder}/${name}`)]),
  );
  const kept = new Map<PageEncoding, Buffer>();
  return {
    /** Returns the Content-Security-Policy of the page. */
    policyWith: policiesOf(built),
    /** Names this version of the page. */
    tag: `"${hash('sha256', text, 'base64').slice(0, 22)}"`,
    page: (encoding: PageEncoding): Buffer => {
      const known = kept.get(encoding) ?? compress[encoding](Buffer.from(text));
      kept.set(encoding, known);
      return known;
    },
    /** Returns a picture in JPEG, or undefined if there is none of this name. */
    sample: (name: string) => samples.get(name),
  };
}

const compress: Readonly<Record<PageEncoding, (bytes: Buffer) => Buffer>> = {
  identity: (bytes) => bytes,
  gzip: (bytes) => gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION }),
  br: (bytes) => brotliCompressSync(bytes),
};

const settingsPlace = /(<script type="application\/json" id="settings">)\{\}/;

function writeSettings(page: string, settings: PageSettings): string {
  if (!settingsPlace.test(page))
    throw new Error('The page has a place for settings. This is a bug.');
  const json = JSON.stringify(settings).replaceAll('<', '\\u003c');
  return page.replace(settingsPlace, (_, before) => `${before}${json}`);
}

/** Makes a function that returns the page's policy. It gets the origin of the issuer, if people can sign in there. */
function policiesOf(page: string): (issuer: string | undefined) => string {
  const script = digestOf(page, 'script');
  const style = digestOf(page, 'style');
  return (issuer) =>
    policyOf(
      `script-src 'sha256-${script}'`,
      `style-src 'sha256-${style}'`,
      `connect-src 'self'${issuer === undefined ? '' : ` ${issuer}`}`,
      "img-src 'self' data:",
    );
}

/** Returns the digest of what is between the tags without attributes. */
function digestOf(page: string, tag: string): string {
  const start = page.indexOf(`<${tag}>`) + tag.length + 2;
  return hash('sha256', page.slice(start, page.indexOf(`</${tag}>`, start)), 'base64');
}
