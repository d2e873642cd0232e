// The tests in this folder need images that were built from this checkout. `npm run e2e:compose`
// builds them and sets the switch.

import process from 'node:process';

/** The reason not to run these tests, if there is one. */
export const whySkipped =
  process.env.SCORELINE_E2E === 'compose' ? undefined : '`npm run e2e:compose` runs this';
