import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { expect, test } from 'vitest';
import { bundleOf } from '../../shared/process/programs.js';
import { root } from '../harness.js';
import { makeFolder } from '../unit/sample-model.js';

/** Makes a small project that is started as ours is. Its TypeScript is in a folder beside it. */
function makeProject() {
  const directory = makeFolder({});
  const write = (name: string, content: string | object) => {
    const file = path.join(directory, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content));
    return file;
  };
  for (const name of ['bootstrap.mjs', 'packages.mjs', 'sources.mjs']) {
    cpSync(path.join(root, 'cli', name), path.join(directory, 'cli', name));
  }
  const devDependencies = { typescript: 'file:compiler' };
  const manifest = { name: 'small', version: '1.0.0', type: 'module', devDependencies };
  write('package.json', manifest);
  write('tsconfig.json', { include: ['cli', 'k8s'] });
  write('compiler/package.json', { name: 'typescript', version: '1.0.0' });
  write('compiler/bin/tsc', '');
  for (const name of ['hello', 'build/docs', 'build/page', 'build/bundle']) {
    write(`cli/${name}.ts`, '');
    write(`dist/cli/${name}.js`, '');
  }
  write('dist/cli/hello.js', "console.log('hello', process.argv[2]);");
  const packages = {
    '': manifest,
    compiler: { name: 'typescript', version: '1.0.0', dev: true },
    'node_modules/typescript': { resolved: 'compiler', link: true },
  };
  const lock = (more: object = {}) =>
    write('package-lock.json', {
      ...{ name: 'small', version: '1.0.0', lockfileVersion: 3 },
      packages: { ...packages, ...more },
    });
  lock();
  const run = () => {
    const { stdout, stderr, status } = spawnSync(
      process.execPath,
      ['cli/bootstrap.mjs', 'hello', 'you'],
      {
        cwd: directory,
        env: {
          ...process.env,
          // npm leaves out what a build needs if nothing else is asked for.
          NODE_ENV: 'production',
          npm_config_fetch_retries: '0',
          npm_config_audit: 'false',
        },
        encoding: 'utf8',
      },
    );
    return { stdout, stderr, status, installs: stderr.includes('Installing the npm packages') };
  };
  return { directory, write, lock, run };
}

test('the first start installs what the lock file says, and later ones do not', () => {
  const { directory, run } = makeProject();
  const first = run();
  expect(first).toMatchObject({ status: 0, installs: true });
  expect(first.stdout).toContain('hello you');
  expect(run()).toMatchObject({ status: 0, installs: false });

  // As Git leaves it after a change of branches.
  const file = path.join(directory, 'package-lock.json');
  const before = readFileSync(file, 'utf8');
  utimesSync(file, new Date(), new Date(Date.now() + 10_000));
  expect(run()).toMatchObject({ status: 0, installs: false });
  expect(readFileSync(file, 'utf8')).toBe(before);
});

test('a start builds only what has changed since the last whole build', () => {
  const { directory, write, run } = makeProject();
  const compiler = (code = 0) =>
    write(
      'compiler/bin/tsc',
      `require('node:fs').appendFileSync('data/compiled', 'x'); process.exit(${code});`,
    );
  const compiled = write('data/compiled', '');
  const runsOfCompiler = () => {
    writeFileSync(compiled, '');
    const { status } = run();
    return [status, readFileSync(compiled, 'utf8').length];
  };
  compiler();
  expect(runsOfCompiler()).toEqual([0, 2]);
  expect(runsOfCompiler()).toEqual([0, 0]);
  const generated = ['k8s/generated/file.json', 'cli/__pycache__/script.cpython-311.pyc'];
  for (const own of ['models/mine/labels.txt', 'mine.jsonl', 'k8s/values.yaml', ...generated]) {
    write(own, 'one');
    expect(runsOfCompiler()).toEqual([0, 0]);
  }
  write('cli/models/add.ts', 'one');
  expect(runsOfCompiler()).toEqual([0, 2]);
  const file = write('docs/chapter.md', 'one');
  expect(runsOfCompiler()).toEqual([0, 2]);
  write('docs/chapter.md', 'two');
  utimesSync(file, new Date(), new Date(Date.now() + 10_000));
  expect(runsOfCompiler()).toEqual([0, 2]);
  rmSync(file);
  expect(runsOfCompiler()).toEqual([0, 2]);
  expect(runsOfCompiler()).toEqual([0, 0]);
  rmSync(path.join(directory, 'dist/built-from'));
  compiler(1);
  expect(runsOfCompiler()).toEqual([1, 1]);
  expect(runsOfCompiler()).toEqual([1, 1]);
  compiler();
  expect(runsOfCompiler()).toEqual([0, 2]);
});

test('what is built runs without the packages for a build, which are installed for the next one', () => {
  const { directory, write, run } = makeProject();
  run();
  const compiler = path.join(directory, 'node_modules/typescript');
  rmSync(compiler);
  expect(run()).toMatchObject({ status: 0, installs: false });
  write('cli/more.ts', '');
  expect(run()).toMatchObject({ status: 0, installs: true });
  expect(existsSync(compiler)).toBe(true);
});

test('a build leaves the bundles alone that running processes have', () => {
  const { ino } = statSync(bundleOf(root));
  const { status } = spawnSync(process.execPath, [path.join(root, 'dist/cli/build/bundle.js')]);
  expect([status, statSync(bundleOf(root)).ino]).toEqual([0, ino]);
});

test('a lock file with other packages is followed, and a missing network is named', () => {
  const { directory, write, lock, run } = makeProject();
  expect(run().status).toBe(0);
  const before = JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8'));
  const manifest = { ...before, dependencies: { missing: '1.0.0' } };
  write('package.json', manifest);
  const resolved = 'http://127.0.0.1:1/missing.tgz';
  const file = lock({
    '': manifest,
    'node_modules/missing': { version: '1.0.0', resolved },
  });
  utimesSync(file, new Date(), new Date(Date.now() + 10_000));
  const { status, stderr, installs } = run();
  expect([status, installs]).toEqual([1, true]);
  expect(stderr).toContain('npm does not reach its registry. Check the network');
});

test('a command whose output is not read to its end says nothing, and does not end as if it had done its work', () => {
  const { directory, write, run } = makeProject();
  expect(run().status).toBe(0);
  write('dist/cli/hello.js', "for (let line = 0; line < 100_000; line++) console.log('hello');");
  const command = `{ '${process.execPath}' cli/bootstrap.mjs hello; echo $? >&2; } | true`;
  const { stderr } = spawnSync('sh', ['-c', command], { cwd: directory, encoding: 'utf8' });
  expect(stderr).toBe('141\n');
});

test('ONNX Runtime reports nothing to its maker from the programs of a command', () => {
  const { directory, write, run } = makeProject();
  run();
  const home = makeFolder({});
  write(
    'program.cjs',
    `const { InferenceSession } = require('${root}/node_modules/onnxruntime-node');
    void InferenceSession.create('${root}/models/breast-cancer/model.onnx');`,
  );
  write(
    'dist/cli/hello.js',
    `import { execFileSync } from 'node:child_process';
    execFileSync(process.execPath, ['program.cjs']);`,
  );
  const { status } = spawnSync(process.execPath, ['cli/bootstrap.mjs', 'hello'], {
    cwd: directory,
    // It is quiet in continuous integration, which it recognises by such variables.
    env: { PATH: process.env.PATH, HOME: home, TMPDIR: home },
  });
  expect(status).toBe(0);
  expect(readdirSync(home)).toEqual([]);
});

test.skipIf(!existsSync('/dev/full'))(
  'only a service goes on while the disk with its output is full',
  () => {
    const { directory, write, run } = makeProject();
    run();
    const lines = "console.log('hello'); setTimeout(() => process.exit(7), 100);";
    const statusOf = (command: string) => {
      write(`dist/cli/${command}.js`, lines);
      return spawnSync(process.execPath, ['cli/bootstrap.mjs', command], {
        cwd: directory,
        stdio: ['ignore', openSync('/dev/full', 'w'), 'ignore'],
      }).status;
    };
    expect([statusOf('start'), statusOf('hello')]).toEqual([7, 1]);
  },
);
