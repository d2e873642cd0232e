// Says what is in an image: how much it adds to its base image, and what fills that.

import { execFileSync } from 'node:child_process';

/** Folders and packages below this are summed up in one line. */
const listedBytesMin = 300_000;

interface Inspected {
  readonly Size: number;
  readonly Config: { readonly Labels: Readonly<Record<string, string>> | null };
}

/** Returns a table. Throws if there is no Docker engine, or no such image. */
export function report(image: string): string {
  const { Size: size, Config: config } = inspect(image);
  const base = config.Labels?.['org.opencontainers.image.base.name'];
  const baseBytes = base === undefined ? undefined : sizeOf(base);
  const filled = contentsOf(image);
  const listed = filled.filter(({ bytes }) => bytes >= listedBytesMin);
  const rest = filled.filter(({ bytes }) => bytes < listedBytesMin);
  const above =
    baseBytes === undefined
      ? `base image ${base ?? 'unknown'}, which is not here`
      : `${megabytes(size - baseBytes)} above ${base} (${megabytes(baseBytes)})`;
  const lines = [
    `${image}: ${megabytes(size)}, ${above}`,
    ...listed.map(({ name, bytes }) => `  ${megabytes(bytes).padStart(9)}  ${name}`),
    `  ${megabytes(sum(rest)).padStart(9)}  ${rest.length} others`,
  ];
  return lines.join('\n');
}

function sizeOf(image: string): number | undefined {
  try {
    return inspect(image).Size;
  } catch {
    return undefined;
  }
}

function inspect(image: string): Inspected {
  const text = docker('image', 'inspect', image);
  return (JSON.parse(text) as Inspected[])[0] as Inspected;
}

/** Measures the files that our stages added: each package, the program, and baked models. */
function contentsOf(image: string): { name: string; bytes: number }[] {
  const text = docker('run', '--rm', '--network=none', '--entrypoint=node', image, '-e', measure);
  const found = JSON.parse(text) as Record<string, number>;
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

function docker(...parameters: string[]): string {
  try {
    return execFileSync('docker', parameters, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  } catch (error) {
    const { code, stderr } = error as { code?: string; stderr?: string };
    if (code === 'ENOENT') throw new Error('Expected Docker; there is no command docker here.');
    throw new Error(`docker ${parameters.slice(0, 2).join(' ')} failed: ${stderr?.trim()}`);
  }
}

function sum(parts: readonly { bytes: number }[]): number {
  return parts.reduce((total, { bytes }) => total + bytes, 0);
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
