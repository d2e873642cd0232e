import { expect, test } from 'vitest';
import { ScorelineError } from '../../shared/errors.js';
import { notFinite, refusalOr } from '../../worker/batch/refusal.js';
import { type ReasonReader, RunFailure } from '../../worker/engine/engine.js';
import { makeSampleModel } from './sample-model.js';

const text = makeSampleModel();
const table = makeSampleModel({
  input: { kind: 'table', columns: [{ name: 'a', datatype: 'number' }] },
  example: undefined,
});

const failedFor = (reason: string, reader: ReasonReader = 'caller of tensors') =>
  new ScorelineError('model_failed', 'The model failed on this input.', {
    cause: new RunFailure(reason, { runtime: 'ONNX Runtime', reader }),
  });

test.each([
  'Failed to allocate memory for requested buffer of size 4000000000000',
  'CUDA failure 700: an illegal memory access was encountered',
  'CUDNN_STATUS_EXECUTION_FAILED ; GPU=0',
  'std::bad_alloc',
])('a fault of the machine is none of the caller: %s', (reason) => {
  const error = failedFor(reason);
  expect(refusalOr(error, {}, text)).toBe(error);
});

test('callers who did not choose the tensors are not told of them', () => {
  const error = failedFor('2 by 3');
  expect(refusalOr(error, { top: 1 }, text)).toBe(error);
  expect(refusalOr(error, {}, text)).toMatchObject({ code: 'inputs_refused' });
});

test('callers of a table chose its values, so they are told', () => {
  expect(refusalOr(failedFor('2 by 3'), { top: 1 }, table)).toMatchObject({
    code: 'inputs_refused',
  });
  expect(notFinite({ top: 1 }, table).code).toBe('inputs_refused');
  expect(notFinite({ top: 1 }, text).code).toBe('model_failed');
});

test('what is given the text itself says whom it blames', () => {
  for (const reason of ['say more', 'expected the driver to have a device']) {
    const logged = failedFor(reason, 'log');
    expect(refusalOr(logged, {}, text)).toBe(logged);
    expect(refusalOr(failedFor(reason, 'caller'), { top: 1 }, text)).toMatchObject({
      code: 'inputs_refused',
      message: expect.stringContaining(reason),
    });
  }
});

test('an error without a reason of ONNX Runtime is no refusal', () => {
  for (const error of [new ScorelineError('model_failed', 'No.'), new Error('No.')]) {
    expect(refusalOr(error, {}, text)).toBe(error);
  }
});
