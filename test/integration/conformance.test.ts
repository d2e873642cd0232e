// Runs a sample of the ONNX project's backend tests as `npm run conformance` runs all of them: at least one for
// each datatype, and some that cannot be served.

import path from 'node:path';
import { expect, test } from 'vitest';
import { readCases } from '../../conformance/cases.js';
import { runConformance } from '../../conformance/run.js';
import { datatypes } from '../../shared/tensors/tensors.js';
import { root } from '../harness.js';
import { makeFolder } from '../unit/sample-model.js';

const cases = readCases(path.join(root, 'test/conformance'));

test('the sample has every datatype', () => {
  const found = new Set(cases.flatMap(({ inputs }) => inputs.map(({ datatype }) => datatype)));
  expect([...found].toSorted()).toEqual([...datatypes].toSorted());
});

test('what bare ONNX Runtime answers, the service answers in JSON and in binary tensors', async () => {
  const tally = await runConformance(cases, makeFolder({}), () => {});
  expect(tally.faults).toEqual([]);
  const { bare, sameByJson, sameByBinary, refusedAtCheck, notRunByOrt } = tally.figures;
  expect(sameByJson).toBe(sameByBinary);
  expect(sameByJson + refusedAtCheck).toBe(bare);
  expect(bare + notRunByOrt).toBe(cases.length);
  expect(tally.details().join('\n')).toMatch(/refused at check: 1 × expected a model with inputs/);
});
