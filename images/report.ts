// Says what is in an image: how much it adds to its base image, and what fills that.

import { docker } from '../cli/docker/docker.js';

/** Folders and packages below this are summed up in one line. */
const listedBytesMin = 300_000;

export interface ImageContents {
  readonly bytes: number;
  /** The image that its labels name as its base, and its size if it is on this machine. */
  readonly base: string | undefined;
  readonly baseBytes: number | undefined;
  /** Each package, the program, and baked models; the largest first. */
  readonly parts: readonly { readonly name: string; readonly bytes: number }[];
}

interface Inspected {
  readonly Size: number;
  readonly Config: { readonly Labels: Readonly<Record<string, string>> | null };
}

/** Rejects if there is no Docker engine, or no such image. */
export async function measureImage(image: string): Promise<ImageContents> {
  const { Size: bytes, Config: config } = await inspect(image);
  const base = config.Labels?.['org.opencontainers.image.base.name'];
  return {
    bytes,
    base,
    baseBytes: base === undefined ? undefined : await sizeOf(base),
    parts: await partsOf(image),
  };
}

/** Returns a table. */
export function formatContents(image: string, contents: ImageContents): string {
  const { bytes, base, baseBytes, parts } = contents;
  const listed = parts.filter((part) => part.bytes >= listedBytesMin);
  const rest = parts.filter((part) => part.bytes < listedBytesMin);
  const above =
    baseBytes === undefined
      ? `base image ${base ?? 'unknown'}, which is not here`
      : `${megabytes(bytes - baseBytes)} above ${base} (${megabytes(baseBytes)})`;
  const lines = [
    `${image}: ${megabytes(bytes)}, ${above}`,
    ...listed.map((part) => `  ${megabytes(part.bytes).padStart(9)}  ${part.name}`),
    `  ${megabytes(sum(rest)).padStart(9)}  ${rest.length} others`,
  ];
  return lines.join('\n');
}

function sizeOf(image: string): Promise<number | undefined> {
  return inspect(image).then(
    ({ Size }) => Size,
    () => undefined,
  );
}

async function inspect(image: string): Promise<Inspected> {
  const text = await docker('image', 'inspect', image);
  return (JSON.parse(text) as Inspected[])[0] as Inspected;
}

/** Measures the files that our stages added. */
async function partsOf(image: string): Promise<ImageContents['parts']> {
  const command = ['run', '--rm', '--network=none', '--entrypoint=node', image, '-e', measure];
  const found = JSON.parse(await docker(...command)) as Record<string, number>;
  return Object.entries(found)
    .map(([name, bytes]) => ({ name, bytes }))
    .sort((one, other) => other.bytes - one.bytes);
}

/** Runs inside the image, so it may use nothing but Node. */
const measure = `
const { existsSync, readdirSync, lstatSync } = require('node:fs');
const found = {};
const add = (root, nameOf) => {
  if (!existsSync(root)) return;
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) continue;
    const file = entry.parentPath + '/' + entry.name;
    const name = nameOf(file.slice(root.length + 1));
    found[name] = (found[name] ?? 0) + lstatSync(file).size;
  }
};
add('/app/node_modules', (file) => 'node_modules/' + file.split('/', file.startsWith('@') ? 2 : 1).join('/'));
add('/app/dist', () => 'dist');
add('/models', (file) => 'models/' + file.split('/')[0]);
process.stdout.write(JSON.stringify(found));
`;

function sum(parts: readonly { bytes: number }[]): number {
  return parts.reduce((total, { bytes }) => total + bytes, 0);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
