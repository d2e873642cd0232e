// Runs the examples on the pages for newcomers from top to bottom, as a reader would paste them.
//
// The info string of a block says how. A rendered page does not show it:
//   start        the last command is the service; it runs until the walk ends
//   in=FOLDER    the block runs in this folder of the clone
//   needs=A,B    Python packages that are too large to install for a test. SNIPPET_PYTHONS lists the
//                Pythons to look for them in, separated by colons. Without them the block is skipped.
// A `yaml` block is a manifest. A `json` block is what the last command before it printed, and so is
// a comment that begins with `# {`. A `ts` block is a program of somebody who has installed the package. What programs
// print stands in comments that begin with `prints:`. An ellipsis stands for the rest.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findFreePort } from '../../cli/redis/redis.js';
import { readManifest } from '../../shared/manifest/file.js';
import { root, waitUntil } from '../harness.js';
import { compile, installClient } from '../packed-client.js';
import { environmentOfTests, findPython, hasPython, requirements } from '../python.js';
import { readSnippets, type Snippet } from '../snippets.js';
import { sourceOf, writeFolder } from '../unit/sample-model.js';

const run = promisify(execFile);
const pythons = process.env.SNIPPET_PYTHONS?.split(':') ?? [];
/** Of every block: the first command that fails ends it, and a refusal of the service is a failure. */
const shellStart = `set -euo pipefail
curl() { command curl --fail --show-error "$@" && echo; }
`;

const shared = [
  'README.md',
  'docs/repeating.md',
  'docs/jobs.md',
  'docs/priorities.md',
  'docs/clients.md',
  'docs/bulk.md',
];

describe(shared.join(', '), () => {
  walkThrough(shared);
});

describe.skipIf(!hasPython)('docs/your-model.md (needs Python 3.11)', () => {
  walkThrough(['docs/your-model.md']);
});

describe.skipIf(!hasPython)('docs/models.md (needs Python 3.11)', () => {
  walkThrough(['docs/models.md']);
});

describe.skipIf(!hasPython)('docs/python.md (needs Python 3.11)', () => {
  walkThrough(['docs/python.md']);
});

describe.skipIf(!hasPython)('docs/migrating.md (needs Python 3.11)', () => {
  walkThrough(['docs/migrating.md']);
});

/** A clone in which a reader works, and the processes in it. */
interface Walk {
  readonly directory: string;
  readonly clone: string;
  readonly port: number;
  readonly environment: NodeJS.ProcessEnv;
  readonly services: ChildProcess[];
  /** What the last shell block printed. */
  printed: string;
  /** The project of somebody who has installed the package, once it is needed. */
  project?: Promise<string>;
}

function walkThrough(pages: readonly string[]): void {
  let walk: Walk;
  beforeAll(async () => {
    walk = await beginWalk();
  });
  afterAll(() => endWalk(walk));

  for (const snippet of pages.flatMap(readSnippets)) {
    const needs = snippet.options.needs?.split(',') ?? [];
    const python = needs.length > 0 ? findPython(pythons, needs) : undefined;
    const isPython = snippet.language === 'python' && needs.length === 0;
    const isMissing = isPython ? !hasPython : needs.length > 0 && !python;
    const missing = isPython
      ? 'Python 3.11'
      : `a Python with ${needs.join(', ')} in SNIPPET_PYTHONS`;
    const reason = isMissing ? ` (needs ${missing})` : '';
    test.skipIf(isMissing)(
      `${snippet.place} ${snippet.language}${reason}`,
      { timeout: 600_000 },
      () => runSnippet(snippet, walk, python),
    );
  }
}

async function beginWalk(): Promise<Walk> {
  const directory = writeFolder({});
  const clone = path.join(directory, 'clone');
  mkdirSync(clone);
  // The reader adds models, so these are a copy.
  for (const name of readdirSync(root).filter((name) => name !== 'models')) {
    symlinkSync(path.join(root, name), path.join(clone, name));
  }
  const isIncluded = (file: string) => !/resnet152\W.*\.(onnx|part)$/.test(file);
  cpSync(path.join(root, 'models'), path.join(clone, 'models'), {
    recursive: true,
    filter: isIncluded,
  });
  const port = await findFreePort();
  const environment = {
    ...process.env,
    REDIS_URL: '',
    DATA_DIR: path.join(directory, 'data'),
    MODELS_DIR: path.join(clone, 'models'),
    PORT: String(port),
    NO_PROXY: '127.0.0.1,localhost',
  };
  return { directory, clone, port, environment, services: [], printed: '' };
}

async function endWalk({ services, directory, project }: Walk): Promise<void> {
  for (const service of services) {
    const hasEnded = () => service.exitCode !== null || service.signalCode !== null;
    // Ctrl-C reaches every process of the group.
    if (!hasEnded()) process.kill(-(service.pid as number), 'SIGINT');
    await waitUntil('the service has stopped', hasEnded, 60_000);
  }
  rmSync(directory, { recursive: true, force: true });
  if (project) rmSync(await project, { recursive: true, force: true });
}

async function runSnippet(snippet: Snippet, walk: Walk, python: string | undefined) {
  const { language, options } = snippet;
  if (language === 'sh' && 'start' in options) await startService(snippet, walk);
  else if (language === 'sh') await runShell(snippet, walk, python);
  else if (language === 'python') await runPython(snippet, walk, python);
  else if (language === 'ts') await runTypeScript(snippet, walk);
  else if (language === 'yaml') await tryManifest(snippet, walk);
  else if (language === 'json') compareAnswer(snippet, walk);
  // A drawing is no code. It says so, lest code without a language be left out by mistake.
  else expect(language).toBe('text');
}

async function startService(snippet: Snippet, walk: Walk): Promise<void> {
  const service = spawn('bash', ['-c', shellStart + snippet.code], {
    cwd: folderOf(snippet, walk),
    env: walk.environment,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  walk.services.push(service);
  let output = '';
  for (const stream of [service.stdout, service.stderr]) {
    stream.on('data', (chunk) => {
      output += chunk;
    });
  }
  let hasExited = false;
  service.once('exit', () => {
    hasExited = true;
  });
  const isReady = () => output.includes('Press Ctrl-C');
  await waitUntil('the service is ready', () => isReady() || hasExited, 120_000);
  if (!isReady()) throw new Error(`Expected the service to start; it printed:\n${output}`);
}

async function runShell(snippet: Snippet, walk: Walk, python: string | undefined): Promise<void> {
  const folder = folderOf(snippet, walk);
  // An environment with the packages of the exporter is there already.
  const exports = /--export\b/.test(snippet.code);
  const exporter = exports ? (python ?? path.join(environmentOfTests(), 'bin/python')) : '';
  const code = (shellStart + withPort(snippet.code, walk)).replace(
    /--export\b/,
    `--export --python ${exporter}`,
  );
  const { stdout } = await run('bash', ['-c', code], { cwd: folder, env: walk.environment });
  walk.printed = stdout;
  for (const [, example] of snippet.code.matchAll(/^# (\{.*)$/gm)) {
    expect(withoutBlanks(stdout)).toMatch(patternOf(example as string));
  }
  // A line that the reader pastes into the manifest
  if (stdout.startsWith('source:')) {
    const manifest = readFileSync(path.join(folder, 'model.yaml'), 'utf8');
    expect(withoutBlanks(manifest)).toContain(withoutBlanks(stdout));
  }
}

async function runPython(snippet: Snippet, walk: Walk, python: string | undefined): Promise<void> {
  const folder = folderOf(snippet, walk);
  mkdirSync(folder, { recursive: true });
  const file = path.join(walk.directory, 'snippet.py');
  writeFileSync(file, withPort(snippet.code, walk));
  const [program, parameters] = python
    ? [python, [file]]
    : [process.execPath, [path.join(root, 'dist/cli/python.js'), requirements, file]];
  const env = { ...walk.environment, PYTHONPATH: path.join(root, 'client/python') };
  const { stdout } = await run(program, parameters, { cwd: folder, env });
  comparePrinted(snippet, stdout);
}

async function runTypeScript(snippet: Snippet, walk: Walk): Promise<void> {
  walk.project ??= installClient();
  const code = withPort(snippet.code, walk);
  const name = snippet.place.replaceAll(/\W/g, '-');
  const file = await compile(await walk.project, { name, code, resolution: 'nodenext' });
  const { stdout } = await run(process.execPath, [file], { cwd: folderOf(snippet, walk) });
  comparePrinted(snippet, stdout);
}

function comparePrinted({ code }: Snippet, stdout: string): void {
  for (const [, line] of code.matchAll(/^(?:#|\/\/) prints: (.*)$/gm)) {
    expect(withoutBlanks(stdout)).toMatch(patternOf(line as string));
  }
}

/** Reads a manifest. If the reader has its model, puts it there, and checks the model by it. */
async function tryManifest({ code }: Snippet, { directory, clone, environment }: Walk) {
  const name = /^name: (\S+)$/m.exec(code)?.[1] as string;
  const alone = path.join(directory, 'manifests', name, 'model.yaml');
  mkdirSync(path.dirname(alone), { recursive: true });
  writeFileSync(alone, code.replace(/(?<=sha256: )\w+…/, 'f'.repeat(64)));
  expect(readManifest(path.dirname(alone))).toMatchObject({ name });

  const folder = path.join(clone, 'models', name);
  if (!existsSync(path.join(folder, 'model.onnx'))) return;
  const onnx = readFileSync(path.join(folder, 'model.onnx'));
  const { bytes, sha256 } = sourceOf('model.onnx', onnx);
  // As the page's command prints it.
  const source = `source: { file: model.onnx, bytes: ${bytes}, sha256: ${sha256} }`;
  writeFileSync(path.join(folder, 'model.yaml'), code.replace(/^source: .*$/m, source));
  const check = [path.join(root, 'dist/cli/models.js'), 'check', name];
  const { stdout } = await run(process.execPath, check, { env: environment });
  expect(stdout).toContain('as expected');
}

function compareAnswer({ code }: Snippet, { printed }: Walk): void {
  const expected = JSON.parse(code.replaceAll(/,\s*…/g, ''));
  const answer = JSON.parse(printed.trim().split('\n').at(-1) as string);
  expect(Object.keys(answer)).toEqual(Object.keys(expected));
  expect(Object.keys(answer.timing)).toEqual(Object.keys(expected.timing));
  const [best] = answer.predictions;
  expect({ ...best, score: Number(best.score.toFixed(2)) }).toEqual(expected.predictions[0]);
}

function folderOf({ options }: Snippet, { clone }: Walk): string {
  return path.join(clone, options.in ?? '');
}

/** The service of the walk has a port of its own. */
function withPort(code: string, { port }: Walk): string {
  return code.replaceAll(/(localhost|127\.0\.0\.1):8080/g, `$1:${port}`);
}

function withoutBlanks(text: string): string {
  return text.replaceAll(/\s/g, '');
}

function patternOf(example: string): RegExp {
  const parts = withoutBlanks(example).split('…');
  return new RegExp(parts.map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*'));
}
