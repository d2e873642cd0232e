import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { poisonText } from '../../chaos/poison.js';
import type { Child } from '../../cli/processes/children.js';
import { post, waitUntil } from '../harness.js';
import { counterName, countFor, hangsForever } from './counter.js';
import {
  expectAllAnswered,
  expectAnswered,
  expectCounted,
  expectRefused,
  faqName,
  questions,
  type Scene,
  withScene,
} from './scene.js';

/** Without a takeover, the work would wait for its deadline of 30 s. */
const recoveryMsMax = 15_000;

describe('a worker that is killed', () => {
  test('loses no work: another worker answers it long before its deadline', async () => {
    await withScene({ counter }, async (scene) => {
      const { service } = scene;
      const held = await holdWork(scene);
      const [victim] = service.workers as [Child];
      await service.addWorker();

      const asked = expectAllAnswered(scene, questions.slice(0, 40));
      const killedAt = performance.now();
      victim.kill('SIGKILL');
      await held.answered();
      expect(performance.now() - killedAt).toBeLessThan(recoveryMsMax);
      await asked;
    });
  });

  test('loses no work although the files of its model have changed: another worker still has it', async () => {
    await withScene({ counter }, async (scene) => {
      const { service } = scene;
      const input = countFor(Math.round(4000 * (await scene.howFast())), 6);
      await service.addWorker();
      const answer = scene.count(input);
      const running = service.workers.map((worker) =>
        scene.untilRunning(worker).then(() => worker),
      );
      const victim = await Promise.any(running);
      writeFileSync(path.join(scene.directory, counterName, 'model.onnx'), 'another');
      victim.kill('SIGKILL');
      expectCounted(await answer, input);
      await scene.untilLogged('a job is tried without quarantine');
    });
  });

  test('leaves its work queued for the next worker or the deadline, if alone', async () => {
    await withScene({ counter }, async (scene) => {
      const { service } = scene;
      const held = await holdWork(scene);
      (service.workers[0] as Child).kill('SIGKILL');
      const waiting = expectAllAnswered(scene, questions.slice(0, 20));

      const askedAt = performance.now();
      const late = await scene.ask(questions[20] as never, { deadlineMs: 700 });
      expectRefused(late, 504, 'deadline_exceeded');
      expect(performance.now() - askedAt).toBeGreaterThan(690);
      expect(performance.now() - askedAt).toBeLessThan(15_000);

      await service.addWorker();
      await Promise.all([held.answered(), waiting]);
    });
  });
});

describe('a worker that gets SIGTERM', () => {
  // A worker reserves two seconds of SHUTDOWN_MS for handing work back, so 0.4 s remain here.
  const environment = { SHUTDOWN_MS: '2400', LOG_LEVEL: 'warn' };

  test('hands back the work it cannot finish in time', async () => {
    await withScene({ counter, environment }, async (scene) => {
      const { service } = scene;
      const held = await holdWork(scene);
      const [leaving] = service.workers as [Child];
      const other = await service.addWorker();
      const isAnswered = held.answered();

      leaving.kill('SIGTERM');
      await isAnswered;
      // If the worker only let its locks expire, the other worker would get the work as suspect.
      expect(service.log.map(({ msg }) => msg)).not.toContain('a job is in quarantine');
      // The run that never ends ends with the process.
      expect(await leaving.exited).toBe('SIGKILL');
      await scene.untilLogged('not done within SHUTDOWN_MS');

      // The other worker got all of it, and treats none of it as suspect.
      await expectAllAnswered(scene, questions.slice(0, 10));
      expect(logOf(scene, leaving)).toContain('handing back what is not done');
      expect(logOf(scene, other)).not.toContain('a job is in quarantine');
    });
  });

  test('and then another one ends at once, whatever it holds', async () => {
    await withScene({ counter }, async (scene) => {
      const { service } = scene;
      const held = await holdWork(scene);
      const waiting = scene.ask(questions[0] as never).catch(() => undefined);
      const [leaving] = service.workers as [Child];
      for (const child of [leaving, service.api]) {
        // The same signal again within a moment, as npm sends it, changes nothing.
        child.kill('SIGTERM');
        child.kill('SIGTERM');
        await waitUntil('it shuts down', () => logOf(scene, child).includes('shutting down'));
      }
      expect(logOf(scene, leaving)).not.toContain('leaving at once');
      for (const child of [leaving, service.api]) {
        const again = setInterval(() => child.kill('SIGTERM'), 100);
        expect(await child.exited).toBe('SIGKILL');
        clearInterval(again);
        expect(logOf(scene, child)).toContain('leaving at once');
      }
      await Promise.allSettled([held.answered(), waiting]);
    });
  });

  test('waits for the end of a run, and exits with 0', async () => {
    // The worker hands its work back after 10 ms, but the process may live for another 3 s.
    await withScene({ environment: { SHUTDOWN_MS: '2010' } }, async (scene) => {
      const [leaving] = scene.service.workers as [Child];
      const input = countFor(Math.round(1000 * (await scene.howFast())), 6);
      const answer = scene.count(input);
      await scene.untilHeld(1);
      leaving.kill('SIGTERM');
      expect(await leaving.exited).toBe(0);
      expect(logOf(scene, leaving)).toContain('handing back what is not done');
      await scene.service.addWorker();
      expectCounted(await answer, input);
    });
  });

  test('with time to spare answers all the work it holds, and takes no more', async () => {
    await withScene({}, async (scene) => {
      const [leaving] = scene.service.workers as [Child];
      const input = countFor(300, 3);
      const answer = scene.count(input);
      await scene.untilHeld(1);
      leaving.kill('SIGTERM');
      await scene.untilLogged('shutting down');
      const later = scene.count('9');
      expectCounted(await answer, input);
      expect(await leaving.exited).toBe(0);
      expect(logOf(scene, leaving)).not.toContain('handing back what is not done');
      await scene.untilWaiting(1);
      await scene.service.addWorker();
      expectCounted(await later, '9');
    });
  });
});

describe('an input that ends the process of its model', () => {
  test('fails alone, costs one worker, and leaves its neighbours unharmed', async () => {
    await withScene({ workers: 2, poisonable: true }, async (scene) => {
      const { service } = scene;
      const ended: Child[] = [];
      for (const worker of service.workers) void worker.exited.then(() => ended.push(worker));
      const before = expectAllAnswered(scene, questions.slice(0, 30));
      const poison = post(`${service.url}/v1/models/${faqName}/score`, {
        input: poisonText('crash', 'alone'),
      });
      const after = expectAllAnswered(scene, questions.slice(30, 60));
      expectRefused(await poison, 500, 'model_crashed');
      await Promise.all([before, after]);
      await expectAllAnswered(scene, questions.slice(60, 90));
      expect(ended).toHaveLength(1);
      // The first try is in the worker, the second in quarantine with the rest of the batch, and
      // the third in quarantine alone.
      const tries = service.log.filter(({ msg }) => msg === 'the quarantine has ended');
      expect(tries.map(({ items }) => items).at(-1)).toBe(1);
      expect(tries.length).toBeLessThanOrEqual(2);
    });
  });
});

describe('a run that hangs', () => {
  test('costs one worker; only its own input fails, and the neighbours are answered', async () => {
    await withScene({ workers: 2, counter: { runMsMax: 3000 } }, async (scene) => {
      const hung = scene.count(hangsForever);
      await scene.untilHeld(1);
      const neighbours = ['4', '5', '6'].map(async (input) =>
        expectCounted(await scene.count(input), input),
      );
      const others = expectAllAnswered(scene, questions.slice(0, 30));
      expectRefused(await hung, 500, 'model_crashed');
      await Promise.all([...neighbours, others]);
      const { pid } = await scene.untilLogged('leaving at once');
      const victim = scene.service.workers.find((worker) => worker.pid === pid) as Child;
      expect(await victim.exited).toBe('SIGKILL');
      expectCounted(await scene.count('8'), '8');
      expectAnswered(await scene.ask(questions[0] as never), questions[0] as never);
    });
  });
});

function logOf({ service }: Scene, { pid }: Child): string[] {
  return service.log.filter((line) => line.pid === pid).map(({ msg }) => msg);
}

/** A run begins soon after its input is held, which need not wait for others then. */
const counter = { batchMax: 1 };

/**
 * Gives the only worker three quick inputs, behind a run that never ends. The caller of that run
 * hangs up, so only the three quick inputs are left to answer.
 */
async function holdWork(scene: Scene): Promise<{ answered(): Promise<void> }> {
  const hangUp = new AbortController();
  const blocker = scene.count(hangsForever, { signal: hangUp.signal });
  blocker.catch(() => {});
  // An input that nobody waits for any more is not run.
  await scene.untilRunning(scene.service.workers[0] as Child);
  const inputs = ['3', '4', '5'];
  const answers = inputs.map((input) => scene.count(input));
  for (const answer of answers) answer.catch(() => {});
  await scene.untilHeld(2);
  hangUp.abort();
  return {
    answered: async () => {
      for (const [at, input] of inputs.entries()) {
        expectCounted((await answers[at]) as never, input);
      }
    },
  };
}
