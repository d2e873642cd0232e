import fc from 'fast-check';
import protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import { encodeContents, readContents } from '../../api/grpc/contents.js';
import { toJson } from '../../api/inference/json-tensor.js';
import {
  type Datatype,
  datatypes,
  decodeStrings,
  elementBytes,
  encodeStrings,
  numberArrays,
} from '../../shared/tensors/tensors.js';

const { root } = protobuf.parse(
  `syntax = "proto3"; message InferTensorContents {
    repeated bool bool_contents = 1; repeated int32 int_contents = 2; repeated int64 int64_contents = 3;
    repeated uint32 uint_contents = 4; repeated uint64 uint64_contents = 5; repeated float fp32_contents = 6;
    repeated double fp64_contents = 7; repeated bytes bytes_contents = 8; }`,
  { keepCase: true },
);
root.resolveAll();
const type = root.lookupType('InferTensorContents');

type Listed = Exclude<Datatype, 'FP16'>;
const listed = datatypes.filter((datatype): datatype is Listed => datatype !== 'FP16');

const nameOf = (datatype: Listed) => {
  if (datatype === 'BOOL') return 'bool_contents';
  if (datatype === 'BYTES') return 'bytes_contents';
  if (datatype.endsWith('64')) return `${datatype.toLowerCase()}_contents`;
  if (datatype === 'FP32') return 'fp32_contents';
  return datatype.startsWith('U') ? 'uint_contents' : 'int_contents';
};

/** The elements as an encoder of the protocol takes them. */
function elementsOf(datatype: Listed, data: Uint8Array): unknown[] {
  if (datatype === 'BYTES') return decodeStrings(data).map((text) => Buffer.from(text));
  const view = new numberArrays[datatype](Uint8Array.from(data).buffer);
  if (datatype === 'BOOL') return Array.from(view, Boolean);
  return datatype.includes('INT64') ? Array.from(view, String) : Array.from(view, Number);
}

/** Makes the data of a tensor from random bytes. */
function dataOf(datatype: Listed, bytes: Uint8Array): Uint8Array {
  const size = elementBytes[datatype];
  if (size === undefined) {
    return encodeStrings(Array.from(bytes, (byte) => 'ä'.repeat(byte)));
  }
  const whole = bytes.slice(0, bytes.length - (bytes.length % size));
  return datatype === 'BOOL' ? whole.map((byte) => byte % 2) : whole;
}

const numbers = Array.from({ length: 300_000 }, (_, at) => at);

describe('the contents of a tensor in a message', () => {
  test.each(listed)(
    'are those that every encoder writes and every decoder reads: %s',
    (datatype) => {
      // Runs of small and of large bytes make numbers of every length.
      const bytes = fc
        .array(fc.oneof(fc.constant(0), fc.constant(255), fc.integer({ min: 0, max: 255 })), {
          maxLength: 400,
        })
        .map((each) => Uint8Array.from(each));
      fc.assert(
        fc.property(bytes, (random) => {
          const data = dataOf(datatype, random);
          const elements = elementsOf(datatype, data);
          // The canonical form of NaN differs, and the bytes need not.
          if (elements.some(Number.isNaN)) return;
          const encoded = encodeContents(datatype, data);
          const message = type.fromObject({ [nameOf(datatype)]: elements });
          expect(encoded).toEqual(type.encode(message).finish());
          const head = { name: 'x', datatype, shape: [elements.length] };
          expect(Buffer.from(readContents(head, encoded))).toEqual(Buffer.from(data));
        }),
      );
    },
  );

  // With an object for each number, they took six times as long.
  test.each([
    ['INT64', BigInt64Array.from(numbers, (at) => BigInt(at) * 1_000_003n)],
    ['UINT64', BigUint64Array.from(numbers, (at) => BigInt(at) * 1_000_003n)],
    ['INT32', Int32Array.from(numbers, (at) => at * 7001)],
  ] as const)('take about as long to write as JSON: %s', (datatype, { buffer }) => {
    const data = new Uint8Array(buffer);
    const json = fastest(() => toJson(datatype, data));
    expect(fastest(() => encodeContents(datatype, data))).toBeLessThan(2 * json);
  });
});

/** Returns how long something takes when nothing else has the processor. */
function fastest(act: () => unknown): number {
  const times = Array.from({ length: 5 }, () => {
    const startedAt = performance.now();
    act();
    return performance.now() - startedAt;
  });
  return Math.min(...times);
}
