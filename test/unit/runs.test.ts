// Runs of several engines that share a thread.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Runs } from '../../worker/engine/runs.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const result = { outputs: [], computeMs: 1 };
const patient = { runMsMax: 60_000 };
const hasty = { runMsMax: 100 };

function makeRuns() {
  const lost: string[] = [];
  const runs = new Runs({ runtime: 'a runtime', onLost: (reason) => void lost.push(reason) });
  const ids: number[] = [];
  const start = (owner: typeof patient) => runs.start(owner, (id) => void ids.push(id));
  const finish = () => runs.finish(ids.shift() as number, result);
  return { runs, start, finish, lost };
}

test('a run hangs by the time of its own engine, from when those before it are done', async () => {
  const { start, finish, lost } = makeRuns();
  const first = start(patient);
  const second = start(hasty);
  vi.advanceTimersByTime(30_000);
  finish();
  expect(await first).toBe(result);
  vi.advanceTimersByTime(50);
  finish();
  expect(await second).toBe(result);
  vi.advanceTimersByTime(60_000);
  expect(lost).toEqual([]);
  void start(hasty).catch(() => {});
  void start(patient).catch(() => {});
  vi.advanceTimersByTime(1200);
  expect(lost).toEqual(['a run takes longer than runMsMax, 100 ms']);
});

test('a load in between takes its time, and a run before it is watched', async () => {
  const { runs, start, finish, lost } = makeRuns();
  const first = start(hasty);
  const leave = runs.queue();
  const second = start(hasty);
  finish();
  await first;
  vi.advanceTimersByTime(600_000);
  expect(lost).toEqual([]);
  leave();
  vi.advanceTimersByTime(50);
  finish();
  expect(await second).toBe(result);
  void start(hasty).catch(() => {});
  runs.queue();
  vi.advanceTimersByTime(1200);
  expect(lost).toHaveLength(1);
});

test('an engine has finished when its own runs have', async () => {
  const { runs, start, finish } = makeRuns();
  const events: string[] = [];
  await runs.finished(hasty);
  void start(hasty);
  void start(patient);
  void runs.finished(hasty).then(() => events.push('hasty'));
  void runs.finished(patient).then(() => events.push('patient'));
  finish();
  await vi.advanceTimersByTimeAsync(1);
  expect(events).toEqual(['hasty']);
  finish();
  await vi.advanceTimersByTimeAsync(1);
  expect(events).toEqual(['hasty', 'patient']);
});
