import { defineConfig } from 'vitest/config';

// The tests run as they are built: Node 20 cannot start a worker thread from TypeScript.
export default defineConfig({
  test: {
    include: ['dist/test/**/*.test.js'],
    globalSetup: ['dist/test/redis/choice.js'],
    exclude: ['node_modules/**'],
    // Many tests start processes of their own. More than two files at a time would only wait for each other.
    maxWorkers: 2,
    testTimeout: 180_000,
    hookTimeout: 120_000,
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
