import { defineConfig } from 'vitest/config';
import { BaseSequencer } from 'vitest/node';

/** Begins with small files that take one core for a minute. By their sizes, they would run when all else has ended. */
class Sequencer extends BaseSequencer {
  async sort(files) {
    const sorted = await super.sort(files);
    const isFirst = ({ moduleId }) => /\/(simulation|training)\.test\.js$/.test(moduleId);
    return [...sorted.filter(isFirst), ...sorted.filter((file) => !isFirst(file))];
  }
}

// The tests run as they are built: Node 20 cannot start a worker thread from TypeScript.
export default defineConfig({
  test: {
    include: ['dist/test/**/*.test.js'],
    globalSetup: ['dist/test/redis/choice.js'],
    exclude: ['node_modules/**'],
    // Many tests start processes of their own. More than two files at a time would only wait for each other.
    maxWorkers: 2,
    sequence: { sequencer: Sequencer },
    testTimeout: 180_000,
    hookTimeout: 120_000,
    // Vitest's second is not enough on a machine that is busy.
    expect: { poll: { timeout: 60_000 } },
    dangerouslyIgnoreUnhandledErrors: false,
    // Of the tests' own process. Processes that tests start (end to end, failures) are not counted.
    coverage: {
      provider: 'v8',
      include: ['dist/{api,worker,client,shared}/**/*.js'],
      exclude: ['dist/*/main.js'],
      reporter: ['text', 'html'],
      reportsDirectory: 'coverage',
    },
  },
});
