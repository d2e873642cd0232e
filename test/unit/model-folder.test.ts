import {
  chmodSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { ModelFolder } from '../../shared/registry/folder.js';
import { collectModels, type ModelChoice } from '../../shared/registry/models.js';
import {
  asAnotherUser,
  errorOf,
  makeFolder,
  sampleLabels,
  sampleManifest,
} from './sample-model.js';

/** The files of a version, or of a model without versions. */
function filesAt(place: string, version: string | number = 1, changes: object = {}) {
  const name = place.split('/')[0];
  return {
    [`${place}/model.yaml`]: { ...sampleManifest, name, version, ...changes },
    [`${place}/labels.txt`]: sampleLabels,
    [`${place}/model.onnx`]: 'onnx',
  };
}

function open(files: Record<string, unknown>, choice: Partial<ModelChoice> = {}) {
  const directory = makeFolder(files);
  const whole = { directory, filesNeeded: true, ...choice };
  const folder = new ModelFolder(whole, collectModels(whole));
  const write = (more: Record<string, unknown>) => {
    for (const [file, content] of Object.entries(more)) {
      mkdirSync(path.dirname(path.join(directory, file)), { recursive: true });
      const text = typeof content === 'string' ? content : JSON.stringify(content);
      writeFileSync(path.join(directory, file), text);
    }
  };
  const versions = () => folder.models.map(({ name, version }) => `${name}@${version}`);
  /** Looks until what has changed is at rest. */
  const look = async () => {
    await folder.look();
    await folder.look();
    return versions();
  };
  return { directory, folder, write, versions, look };
}

describe('the versions of a model', () => {
  test('are in its folder and in a folder for each, the newest first', () => {
    const { versions } = open({ ...filesAt('a'), ...filesAt('a/10', 10), ...filesAt('a/9', 9) });
    expect(versions()).toEqual(['a@10', 'a@9', 'a@1']);
  });

  test('begin with the one that traffic.yaml names', () => {
    const traffic = { 'a/traffic.yaml': { latest: 9 } };
    const { versions } = open({ ...filesAt('a/10', 10), ...filesAt('a/9', 9), ...traffic });
    expect(versions()).toEqual(['a@9', 'a@10']);
  });

  test('must be those of their folders, and no other has the same', () => {
    const { folder, versions } = open({
      ...{ ...filesAt('a'), ...filesAt('a/1'), ...filesAt('a/2', 3) },
      ...filesAt('a/4', 4, { name: 'b' }),
    });
    expect(versions()).toEqual(['a@1']);
    expect(folder.leftOut.map(({ version, error }) => [version, error.message])).toEqual([
      ['2', expect.stringContaining('version: expected the name of its folder, 2; got 3')],
      ['4', expect.stringContaining('name: expected the name of its folder, a; got b')],
      ['1', expect.stringContaining('version: expected a version of its own; got 1')],
    ]);
  });

  test('may be chosen by their queues, several of a model', async () => {
    const files = { ...filesAt('a/1', 1), ...filesAt('a/2', 2), ...filesAt('a/3', 3) };
    const queues = open(files).folder.models.map(({ queue }) => queue);
    const names = [queues[0] as string, queues[2] as string];
    const { versions, look } = open(files, { names });
    expect(versions()).toEqual(['a@3', 'a@1']);
    expect(await look()).toEqual(['a@3', 'a@1']);
    const unknown = `${queues[0]}0`;
    const error = errorOf(() => open(files, { names: [unknown] }));
    expect(error.message).toContain(`whose queue is ${unknown}`);
    for (const queue of queues) expect(error.message).toContain(queue);
  });
});

describe('a look at the folder', () => {
  test('finds new versions and models, changed ones, and those that are gone', async () => {
    const { directory, write, look } = open(filesAt('a'));
    write({ ...filesAt('a/2', 2), ...filesAt('b') });
    expect(await look()).toEqual(['a@2', 'a@1', 'b@1']);
    write(filesAt('a', 3));
    expect(await look()).toEqual(['a@3', 'a@2', 'b@1']);
    rmSync(path.join(directory, 'a/2'), { recursive: true });
    rmSync(path.join(directory, 'b'), { recursive: true });
    expect(await look()).toEqual(['a@3']);
  });

  test('finds a change only when it is at rest, unless it is urgent', async () => {
    const { folder, write, versions } = open(filesAt('a'));
    await folder.look();
    await folder.look();
    write({ 'a/2/model.onnx': 'onnx' });
    expect(await folder.look()).toEqual(new Set());
    write(filesAt('a/2', 2));
    expect(await folder.look()).toEqual(new Set());
    expect(versions()).toEqual(['a@1']);
    expect(await folder.look()).toEqual(new Set(['a']));
    expect(versions()).toEqual(['a@2', 'a@1']);
    write(filesAt('a/3', 3));
    expect(await folder.look({ isUrgent: true })).toEqual(new Set(['a']));
    expect(versions()).toEqual(['a@3', 'a@2', 'a@1']);
    expect(await folder.look()).toEqual(new Set());
  });

  test('finds a module of a program that is changed in place, wherever it is', async () => {
    const program = { engine: 'python', source: undefined };
    const files = {
      ...filesAt('a', 1, program),
      ...filesAt('a/2', 2, program),
      ...Object.fromEntries(
        ['a', 'a/2'].flatMap((place) => [
          [`${place}/predict.py`, 'import helper'],
          [
            `${place}/requirements.txt`,
            '-r \\\nlists/more.txt\n--constraint=/etc/hosts\n-c ../../x.txt\n-r lists\n-r ..\n-r predict.py/x',
          ],
          [
            `${place}/lists/more.txt`,
            '\ufeff-r ../requirements.txt\n -c "limits.txt" # most\n-r gone.txt\n-r "two words.txt"',
          ],
          [`${place}/lists/limits.txt`, '\ufeff-r marked.txt'],
          [`${place}/lists/marked.txt`, ''],
          [`${place}/lists/two words.txt`, ''],
          [`${place}/helper.py`, 'f = 1'],
          [`${place}/inner/part.py`, 'g = 1'],
          [`${place}/env/part.py`, 'h = 1'],
        ]),
      ),
    };
    const { folder, write, look } = open(files);
    await look();
    const codes = () => folder.models.map(({ codeSha256 }) => codeSha256);
    const modules = ['helper.py', 'inner/part.py', 'env/part.py', 'inner/deep/new.py'];
    const lists = ['marked', 'two words', 'limits', 'more'].map((name) => `lists/${name}.txt`);
    for (const file of [...modules, ...lists].flatMap((name) => [`a/${name}`, `a/2/${name}`])) {
      const before = codes();
      write({ [file]: `changed = '${file}'` });
      await look();
      expect([file, codes().filter((code) => before.includes(code)).length]).toEqual([file, 1]);
    }
  });

  test.each(['file', 'requirements'])(
    'leaves a program out whose %s is a folder, and no other model',
    (key) => {
      const program = { engine: 'python', source: { [key]: 'inner' } };
      const { folder } = open({
        ...{ ...filesAt('a'), ...filesAt('b', 1, program) },
        ...{ 'b/predict.py': '', 'b/requirements.txt': '', 'b/inner/part.py': '' },
      });
      expect(folder.models.map((model) => model.name)).toEqual(['a']);
      expect(folder.leftOut).toMatchObject([{ name: 'b', error: { code: 'model_file_missing' } }]);
      expect(folder.leftOut[0]?.error.message).toContain(`source.${key}: expected the file`);
    },
  );

  test('reads no code of a program in environments, caches and what editors leave beside it', async () => {
    const { directory, folder, write, look } = open({
      ...filesAt('a', 1, { engine: 'python', source: undefined }),
      ...{ 'a/predict.py': 'f = 1', 'a/requirements.txt': '' },
    });
    const [before] = folder.models.map(({ codeSha256 }) => codeSha256);
    write({
      ...{ 'a/env/pyvenv.cfg': '', 'a/env/lib/package.py': 'g = 1' },
      ...{
        'a/.venv/package.py': 'g = 1',
        'a/__pycache__/part.py': 'g = 1',
        'a/._predict.py': '\0',
      },
    });
    for (const name of ['.#predict.py', 'gone.py']) {
      symlinkSync('nowhere', path.join(directory, 'a', name));
    }
    symlinkSync('__pycache__', path.join(directory, 'a', 'folder.py'));
    await look();
    expect(folder.leftOut).toEqual([]);
    expect(folder.models.map(({ codeSha256 }) => codeSha256)).toEqual([before]);
  });

  test('keeps what was read from a place that has something broken now, and says why', async () => {
    const { folder, write, look } = open({ ...filesAt('a'), ...filesAt('a/2', 2) });
    write({ 'a/model.yaml': 'name: [', 'a/2/model.yaml': { ...sampleManifest, name: 'a' } });
    expect(await look()).toEqual(['a@2', 'a@1']);
    expect(folder.leftOut.map(({ error }) => error.code)).toEqual([
      ...['manifest_invalid', 'manifest_invalid'],
    ]);
    write(filesAt('a', 3));
    expect(await look()).toEqual(['a@3', 'a@2']);
    expect(folder.leftOut).toHaveLength(1);
  });

  test('finds a file that is completed in place, whichever kept its model out', async () => {
    const { 'a/2/labels.txt': _, ...half } = filesAt('a/2', 2);
    const { folder, write, look } = open({ ...filesAt('a/1'), ...half, 'a/2/labels.txt': '' });
    expect(await look()).toEqual(['a@1']);
    expect(await look()).toEqual(['a@1']);
    expect(folder.leftOut).toHaveLength(1);
    write({ 'a/2/labels.txt': sampleLabels });
    expect(await look()).toEqual(['a@2', 'a@1']);
  });

  test('finds a change of the files that only workers read, so they try again', async () => {
    const source = {
      ...{ file: 'model.onnx', bytes: 4, sha256: 'a'.repeat(64) },
      externalData: [{ file: 'weights.bin', bytes: 1, sha256: 'b'.repeat(64) }],
    };
    const files = { ...filesAt('a', 1, { source }), 'a/weights.bin': '1' };
    const { folder, write, look } = open(files);
    await look();
    await look();
    write({ 'a/weights.bin': '22' });
    await folder.look();
    expect(await folder.look()).toEqual(new Set(['a']));
  });

  test('keeps the traffic of before if its file is broken now', async () => {
    const files = { ...filesAt('a/1', 1), ...filesAt('a/2', 2) };
    const { folder, write, look } = open({ ...files, 'a/traffic.yaml': { latest: 1 } });
    write({ 'a/traffic.yaml': { latest: 7 } });
    expect(await look()).toEqual(['a@1', 'a@2']);
    expect(folder.trafficOf('a')).toEqual({ latest: '1' });
    expect(folder.leftOut[0]?.error.message).toContain('got 7');
  });

  test('knows no traffic while its file was never readable, and has the versions', async () => {
    const files = { ...filesAt('a/1', 1), ...filesAt('a/2', 2) };
    const { folder, write, look } = open({ ...files, 'a/traffic.yaml': 'latest: [' });
    expect(folder.trafficOf('a')).toBeUndefined();
    expect(folder.leftOut[0]?.error.message).toContain('expected valid YAML');
    write({ ...filesAt('b/1', 1), 'b/traffic.yaml': 'latest: [', 'a/traffic.yaml': 'latest: "1"' });
    expect(await look()).toEqual(['a@1', 'a@2', 'b@1']);
    expect(folder.trafficOf('a')).toEqual({ latest: '1' });
    expect(folder.trafficOf('b')).toBeUndefined();
  });

  test('takes nothing away while the whole folder is gone, or empty as where it is mounted', async () => {
    const { directory, look } = open(filesAt('a'));
    renameSync(directory, `${directory}-away`);
    expect(await look()).toEqual(['a@1']);
    mkdirSync(directory);
    expect(await look()).toEqual(['a@1']);
    rmSync(directory, { recursive: true });
    renameSync(`${directory}-away`, directory);
    expect(await look()).toEqual(['a@1']);
  });

  test('takes no model away that is gone at one look', async () => {
    const { directory, folder, versions } = open({ ...filesAt('a'), ...filesAt('b') });
    const at = (name: string) => path.join(directory, name);
    renameSync(at('a'), at('.a'));
    await folder.look();
    renameSync(at('.a'), at('a'));
    await folder.look();
    expect(versions()).toEqual(['a@1', 'b@1']);
    renameSync(at('a'), at('.a'));
    await folder.look();
    expect(versions()).toHaveLength(2);
    await folder.look();
    expect(versions()).toEqual(['b@1']);
  });

  test.each(['.model.onnx.Xy34', 'model.onnx.part'])(
    'waits while a file arrives as %s',
    async (arriving) => {
      const { folder, write, look } = open(filesAt('a/1'));
      await look();
      write({ 'a/1/labels.txt': sampleLabels.replace('cat', 'lynx') });
      for (let bytes = 1; bytes < 6; bytes++) {
        write({ [`a/1/${arriving}`]: 'x'.repeat(bytes) });
        expect(await folder.look()).toEqual(new Set());
      }
      expect(await folder.look()).toEqual(new Set(['a']));
    },
  );

  test('finds a file in place of another one of the same size and time', async () => {
    const { directory, folder, look } = open({ ...filesAt('a/1'), '.new.txt': sampleLabels });
    const [labels, other] = ['a/1/labels.txt', '.new.txt'].map((file) =>
      path.join(directory, file),
    );
    for (const file of [labels, other]) utimesSync(file as string, 1e9, 1e9);
    utimesSync(path.join(directory, 'a/1'), 1e9, 1e9);
    await look();
    renameSync(other as string, labels as string);
    utimesSync(path.join(directory, 'a/1'), 1e9, 1e9);
    await folder.look();
    expect(await folder.look()).toEqual(new Set(['a']));
  });

  test('lets no new version answer while the file with the traffic is broken', async () => {
    for (const before of [{}, { 'a/traffic.yaml': { shadow: { version: '3' } } }]) {
      const files = { ...filesAt('a/1', 1), ...filesAt('a/3', 3), ...before };
      const { folder, write, look } = open(files);
      const [answering] = await look();
      write({ ...filesAt('a/4', 4), 'a/traffic.yaml': 'lastest: "1"' });
      expect((await look())[0]).toBe(answering);
      expect(folder.trafficOf('a')?.latest).toBe(answering?.slice(2));
      expect(folder.leftOut).toHaveLength(1);
      write({ 'a/traffic.yaml': 'latest: "4"' });
      expect((await look())[0]).toBe('a@4');
    }
  });

  test('keeps the version of before if the only one after it is broken, in another folder', async () => {
    const { directory, folder, write, look } = open(filesAt('a/1'));
    renameSync(path.join(directory, 'a/1'), path.join(directory, 'a/.1'));
    write({ 'a/2/model.yaml': 'name: [' });
    expect(await look()).toEqual(['a@1']);
    expect(folder.leftOut).toHaveLength(1);
    write(filesAt('a/2', 2));
    expect(await look()).toEqual(['a@2']);
  });
});

test('a model that is in the folder and not among those to be served is known as such', () => {
  const files = { ...filesAt('a'), ...filesAt('b') };
  const { folder } = open(files, { names: ['a'] });
  expect(['a', 'b', 'c'].map((name) => folder.isUnnamed(name))).toEqual([false, true, false]);
  expect(open(files).folder.isUnnamed('b')).toBe(false);
});

describe('what the user of the process must not read', () => {
  const python = { source: undefined, engine: 'python' };

  test.each<[what: string, closed: string, files: Record<string, unknown>, message: string]>([
    ['a manifest', 'b/model.yaml', filesAt('b'), 'b/model.yaml: expected a manifest; it cannot be'],
    ['labels', 'b/labels.txt', filesAt('b'), 'b/labels.txt cannot be read (EACCES)'],
    ['a folder', 'b', filesAt('b'), 'b/model.yaml: expected a manifest; it cannot be read'],
    [
      'a version',
      'b/2',
      filesAt('b/2', 2),
      'b/2/model.yaml: expected a manifest; it cannot be read',
    ],
    [
      'a program',
      'b/predict.py',
      { ...filesAt('b', 1, python), 'b/predict.py': '', 'b/requirements.txt': '' },
      'b/predict.py: expected a file of the model; it cannot be read (EACCES)',
    ],
  ])(
    'is left out with what to do, and read once it may be: %s',
    async (_, closed, files, message) => {
      const { directory, write, look, folder } = open(filesAt('a'));
      chmodSync(directory, 0o755);
      write(files);
      const place = path.join(directory, closed);
      chmodSync(place, 0o000);
      await asAnotherUser(async () => {
        expect(await look()).toEqual(['a@1']);
      });
      const [fault] = folder.leftOut;
      expect(folder.leftOut).toHaveLength(1);
      expect(fault?.error.message).toContain(message);
      expect(fault?.error.message).toContain('user 1000 in the images');
      chmodSync(place, 0o755);
      await asAnotherUser(async () => {
        expect((await look()).length).toBe(2);
      });
      expect(folder.leftOut).toEqual([]);
    },
  );

  test('is no model if its name is none, such as the lost+found of a disk', async () => {
    const { directory, look, folder } = open(filesAt('a'));
    chmodSync(directory, 0o755);
    for (const name of ['lost+found', 'a/.private']) {
      mkdirSync(path.join(directory, name), { mode: 0o000 });
    }
    await asAnotherUser(async () => {
      expect(await look()).toEqual(['a@1']);
    });
    expect(folder.leftOut).toEqual([]);
  });
});
