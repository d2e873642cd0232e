import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { ScorelineError } from '../../shared/errors.js';
import { makeRegistry, only, type RegistryChange } from '../../shared/registry/registry.js';
import { errorOf, makeSampleModel } from './sample-model.js';

const a1 = makeSampleModel({ name: 'a', version: '1' });
const a2 = makeSampleModel({ name: 'a', version: '2' });
const b = makeSampleModel({ name: 'b' });
/** A model with the same name and version, but another file. */
const otherA1 = makeSampleModel({
  name: 'a',
  version: '1',
  source: { file: 'model.onnx', bytes: 4, sha256: 'b'.repeat(64) },
});

/** Makes a registry, and records the events that a listener gets. */
function makeObserved(...models: (typeof a1)[]) {
  const registry = makeRegistry(models);
  const heard: RegistryChange[] = [];
  const unsubscribe = registry.subscribe((change) => heard.push(change));
  return { registry, heard, unsubscribe };
}

describe('a listener', () => {
  test('gets the present models first, and changes later', () => {
    const { registry, heard } = makeObserved(a1, b);
    expect(heard).toEqual([{ added: [a1, b], removed: [] }]);
    registry.replace([a2, b]);
    expect(heard[1]).toEqual({ added: [a2], removed: [a1] });
    registry.replace([]);
    expect(heard[2]).toEqual({ added: [], removed: [a2, b] });
  });

  test('gets a model with a changed file as another model', () => {
    const { registry, heard } = makeObserved(a1);
    registry.replace([otherA1]);
    expect(heard[1]).toEqual({ added: [otherA1], removed: [a1] });
  });

  test('gets no event if equal models replace the present ones, which are then served', () => {
    const { registry, heard } = makeObserved(a1, b);
    const again = makeSampleModel({ name: 'a', version: '1', deadlineMs: 5 });
    registry.replace([b, again]);
    expect(heard).toHaveLength(1);
    expect(registry.find('a')).toBe(again);
  });

  test('finds the new models in the registry when it is called', () => {
    const registry = makeRegistry([a1]);
    const seen: number[] = [];
    registry.subscribe(() => seen.push(registry.models.length));
    registry.replace([a1, b]);
    expect(seen).toEqual([1, 2]);
  });

  test('gets no event after it unsubscribes, while other listeners still do', () => {
    const { registry, heard, unsubscribe } = makeObserved(a1);
    const others: RegistryChange[] = [];
    registry.subscribe((change) => others.push(change));
    unsubscribe();
    unsubscribe();
    registry.replace([b]);
    expect([heard.length, others.length]).toEqual([1, 2]);
  });

  test('can unsubscribe while it is called', () => {
    const registry = makeRegistry([a1]);
    let calls = 0;
    const unsubscribe = registry.subscribe(({ removed }) => {
      calls++;
      if (removed.length > 0) unsubscribe();
    });
    registry.replace([b]);
    registry.replace([a1]);
    expect(calls).toBe(2);
  });
});

describe('finding a model', () => {
  const { registry } = makeObserved(a1, a2, b);

  test('returns the named version, or the first one without a version', () => {
    expect(registry.find('a')).toBe(a1);
    expect(registry.find('a', '2')).toBe(a2);
    expect(registry.find('b', '1')).toBe(b);
  });

  test('fails for an unknown name with a list of the names, each once', () => {
    const error = errorOf(() => registry.find('c'));
    expect(error.code).toBe('model_not_found');
    expect(error.message).toBe('There is no model "c". The models here: a, b.');
  });

  test('fails for an unknown version with a list of the versions', () => {
    const error = errorOf(() => registry.find('a', '3'));
    expect(error.code).toBe('model_not_found');
    expect(error.message).toBe('There is no version "3" of a. The versions here: 1, 2.');
  });

  test('fails with only the beginning of a very long name', () => {
    for (const find of [
      () => registry.find('x'.repeat(1e6)),
      () => registry.find('a', '9'.repeat(1e6)),
    ]) {
      expect(errorOf(find).message.length).toBeLessThan(250);
    }
  });
});

test('two models with the same name and version are reported as a bug', () => {
  expect(() => makeRegistry([a1, otherA1])).toThrow(/a@1 is there twice. This is a bug/);
  const registry = makeRegistry([a1]);
  expect(() => registry.replace([a1, otherA1])).toThrow(/This is a bug/);
  expect(registry.models).toEqual([a1]);
});

test('a model that is left out cannot be found, and the error says why without its reason', () => {
  const error = new ScorelineError('manifest_invalid', '/secret/half/model.yaml: source: …');
  const registry = makeRegistry([b], [{ name: 'half', error }]);
  const { code, message, unservedModel } = errorOf(() => registry.find('half'));
  expect(code).toBe('model_load_failed');
  expect(unservedModel).toBe('half');
  expect(message).toBe(
    'The model "half" is not served, because of an error when it was read (manifest_invalid). The log of the API says what is wrong.',
  );
  expect(registry.find('b')).toBe(b);
});

test('a model that no worker can load is not found either, and the error says so with the code of the reason', () => {
  const error = new ScorelineError('model_load_failed', 'half: model_file_wrong: /secret/half: …');
  const { code, message } = errorOf(() =>
    makeRegistry([b], [{ name: 'half', error, fault: 'model_file_wrong' }]).find('half'),
  );
  expect(code).toBe('model_load_failed');
  expect(message).toBe(
    'No worker can load the model "half" (model_file_wrong). The log of the workers says what is wrong.',
  );
});

test('a model that is not here may still come for a minute, for whoever may use it', () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
  const registry = makeRegistry([b]);
  const model = { name: 'a', queue: a1.queue };
  const awaitQueue = () => [registry, only(['a'], registry)].map((each) => each.awaitQueue(model));
  expect(awaitQueue()).toEqual([true, true]);
  vi.advanceTimersByTime(59_000);
  expect(awaitQueue()).toEqual([true, true]);
  expect(only(['b'], registry).awaitQueue(model)).toBe(false);
  vi.advanceTimersByTime(2000);
  expect(awaitQueue()).toEqual([false, false]);
});
