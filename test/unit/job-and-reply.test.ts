import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import {
  datatypes,
  elementBytes,
  encodeStrings,
  type Tensor,
} from '../../shared/tensors/tensors.js';
import {
  type BatchJob,
  decodeJob,
  encodeJob,
  type Item,
  isUnreadable,
  joinItem,
  type PackedJob,
  payloadFields,
  type WireItem,
  type WireJob,
} from '../../shared/wire/job.js';
import {
  headBytes,
  idsOfReplies,
  packReplies,
  type Reply,
  surelyHasOutputs,
  unpackReplies,
} from '../../shared/wire/reply.js';
import { queueName, wireVersion } from '../../shared/wire/version.js';
import { errorOf } from './sample-model.js';

const dimensions = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3 });
const countOf = (shape: readonly number[]) => shape.reduce((count, size) => count * size, 1);

/** Tensors that fit into the job, and tensors too large for it. */
const tensorNamed = (name: string) =>
  fc
    .record({
      datatype: fc.constantFrom(...datatypes),
      sizes: dimensions,
      isLarge: fc.boolean(),
      fill: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 4 }),
    })
    .map(({ datatype, sizes, isLarge, fill }) => {
      const size = elementBytes[datatype];
      const shape = isLarge && size !== undefined ? [4100, ...sizes] : sizes;
      const data =
        size === undefined
          ? encodeStrings(Array(countOf(shape)).fill(fill.repeat(isLarge ? 4100 : 1)))
          : Buffer.alloc(countOf(shape) * size, fill);
      return { name, datatype, shape, data };
    });

const tensors = (min: number) =>
  fc
    .uniqueArray(fc.string({ unit: 'grapheme', maxLength: 8 }), { minLength: min, maxLength: 4 })
    .chain((names) => fc.tuple(...names.map(tensorNamed)));

const time = fc.double({ min: 0, max: 4e12, noNaN: true });
const item = fc.record(
  {
    id: fc.uuid(),
    submittedAt: time,
    deadlineAt: time,
    inputs: tensors(1),
    top: fc.integer({ min: 1 }),
    outputs: fc.array(fc.string(), { maxLength: 3 }),
    keepMs: fc.integer({ min: 1 }),
    trace: fc.constant({
      traceparent: '00-4bf92f3577b34da6-00f067aa0ba902b7-01',
      tracestate: 'a=1',
    }),
  },
  { requiredKeys: ['id', 'submittedAt', 'deadlineAt', 'inputs'] },
);
const batch: fc.Arbitrary<BatchJob> = fc.record({
  replyTo: fc.uuid(),
  items: fc.uniqueArray(item, { selector: ({ id }) => id, minLength: 1, maxLength: 4 }),
});

/** Encodes a job and sends it through JSON, as the queue does. */
const throughQueue = (job: PackedJob) => decodeJob(JSON.parse(JSON.stringify(job)));

/** Turns tensors' data into texts, which compare faster than bytes. */
const plainTensors = (tensors: readonly Tensor[] = []) =>
  tensors.map(({ data, ...head }) => ({ ...head, data: Buffer.from(data).toString('latin1') }));
const plain = (one: Item | undefined) => ({ ...one, inputs: plainTensors(one?.inputs) });
const plainReply = (one: Reply) =>
  'outputs' in one ? { ...one, outputs: plainTensors(one.outputs) } : one;

function readable(decoded: ReturnType<typeof decodeJob>): WireJob {
  if (isUnreadable(decoded)) throw new Error(decoded.reason);
  return decoded;
}

const sample: BatchJob = {
  replyTo: 'api-1',
  items: ['a', 'b'].map((id) => ({
    id,
    submittedAt: 1,
    deadlineAt: 2.5,
    inputs: [{ name: 'input', datatype: 'BYTES', shape: [1], data: encodeStrings([id]) }],
    top: 3,
  })),
};

describe('a job', () => {
  test('decodes to its items, with the tensors inside and beside it', () => {
    fc.assert(
      fc.property(batch, ({ replyTo, items }) => {
        const { job, payload } = encodeJob({ replyTo, items });
        const decoded = readable(throughQueue(job));
        expect(decoded.replyTo).toBe(replyTo);
        expect(payloadFields(decoded.items)).toEqual([...payload.keys()]);
        const joined = decoded.items.map((one) => joinItem(one, payload));
        expect(joined.map(plain)).toEqual(items.map(plain));
      }),
    );
  });

  test('holds tensors of up to 4 KiB; larger ones lie beside it, uncopied', () => {
    const bytes = (length: number): Item['inputs'][number] => ({
      name: `t${length}`,
      datatype: 'UINT8',
      shape: [length],
      data: Buffer.alloc(length, 7),
    });
    const inputs = [bytes(4096), bytes(4097)];
    const { job, payload } = encodeJob({
      replyTo: 'x',
      items: [{ ...(sample.items[0] as Item), inputs }],
    });
    expect([...payload]).toEqual([['a/t4097', inputs[1]?.data]]);
    expect(payload.get('a/t4097')).toBe(inputs[1]?.data);
    expect(job.items[0]?.data.map((data) => data !== null)).toEqual([true, false]);
  });

  test('loses only the item whose tensor beside it is gone', () => {
    const large = {
      name: 'big',
      datatype: 'UINT8' as const,
      shape: [5000],
      data: Buffer.alloc(5000),
    };
    const [a, b] = sample.items as [Item, Item];
    const { job } = encodeJob({
      ...sample,
      items: [{ ...a, inputs: [...a.inputs, large] }, b],
    });
    const { items } = readable(throughQueue(job));
    expect(items.map((one) => joinItem(one, new Map()))).toEqual([undefined, b]);
  });

  test('with a tensor that does not match its shape fails with wire_mismatch', () => {
    const { job } = encodeJob(sample);
    const { items } = readable(throughQueue(job));
    const [first] = items as [WireJob['items'][number]];
    const broken = { ...first, inputs: [{ ...first.inputs[0], shape: [2] }] } as typeof first;
    const error = errorOf(() => joinItem(broken, new Map()));
    expect(error.code).toBe('wire_mismatch');
    expect(error.message).toContain('Expected 2 strings');
  });
});

describe('a job that cannot be read', () => {
  const encoded = () => JSON.parse(JSON.stringify(encodeJob(sample).job));

  /** Encodes the job with changes to the layout and the data of its second item. */
  const encodedWith = ({ data, layout = 1, ...head }: Record<string, unknown>) => {
    const job = encoded();
    job.layouts.push([{ ...job.layouts[0][0], ...head }], []);
    job.items[1].layout = layout;
    if (data !== undefined) job.items[1].data = [data];
    return job;
  };

  test.each([
    ['another version', { wire: wireVersion + 1 }, /^wire: /],
    ['a version that is a text', { wire: String(wireVersion) }, /^wire: /],
    ['no version', { wire: undefined }, /^wire: /],
    ['a field that is missing from an item', { items: [{ id: 'a' }, { id: 'b' }] }, /^items\.0\./],
    ['items of another form', { wire: 3, items: [{ id: 'a', text: 'x' }, { id: 'b' }] }, /^wire: /],
  ])('because of %s still names its API instance and items', (_what, changes, reason) => {
    const decoded = decodeJob({ ...encoded(), ...changes });
    expect(decoded).toMatchObject({ replyTo: 'api-1', items: [{ id: 'a' }, { id: 'b' }] });
    expect((decoded as { reason: string }).reason).toMatch(reason);
  });

  test.each([
    ['a negative dimension', { shape: [-1] }],
    ['a broken dimension', { shape: [1.5] }],
    ['data that is not base64', { data: '*' }],
  ])('fails only one item if its tensor has %s', (_what, changes) => {
    const job = encodedWith(changes);
    const [whole, broken] = (decodeJob(job) as WireJob).items;
    expect(joinItem(whole as WireItem, new Map())?.id).toBe('a');
    expect(errorOf(() => joinItem(broken as WireItem, new Map())).code).toBe('wire_mismatch');
  });

  test.each([
    ['an unknown datatype', { datatype: 'FP8' }],
    ['a dimension that is not a number', { shape: ['1'] }],
    ['data that is not a text', { data: 5 }],
    ['no layout', { layout: 7 }],
    ['more data than its layout has tensors', { layout: 2 }],
  ])('because a tensor has %s still names its API instance and items', (_what, changes) => {
    expect(decodeJob(encodedWith(changes))).toMatchObject({
      replyTo: 'api-1',
      items: [{ id: 'a' }, { id: 'b' }],
      reason: expect.stringMatching(/^(layouts|items)\.1\./),
    });
  });

  test.each([
    ['nothing', undefined],
    ['null', null],
    ['a text', 'job'],
    ['an array', []],
    ['an empty object', {}],
    ['without a list of items', { wire: wireVersion, replyTo: 'x', items: {} }],
    ['without items', { wire: wireVersion, replyTo: 'x', items: [] }],
    ['without an API instance', { wire: wireVersion, items: [{ id: 'a' }] }],
  ])('because it is %s names nobody to tell', (_what, data) => {
    const decoded = decodeJob(data);
    expect(isUnreadable(decoded) && decoded.reason.length > 0).toBe(true);
    expect(
      isUnreadable(decoded) &&
        (decoded.replyTo === undefined || !decoded.items.map(({ id }) => id)[0]),
    ).toBe(true);
  });

  test('never throws, for any JSON', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (data) => {
        expect(isUnreadable(decodeJob(data))).toBe(true);
      }),
    );
  });
});

const timing = fc.record({ queueMs: time, batchMs: time, computeMs: time, batchSize: fc.nat() });
const reply = fc.oneof(
  fc.record(
    { id: fc.string(), outputs: tensors(0), timing, isKept: fc.constant(true as const) },
    { requiredKeys: ['id', 'outputs', 'timing'] },
  ),
  fc.record({
    id: fc.string(),
    error: fc.record({ code: fc.constantFrom('model_failed', 'of_tomorrow'), detail: fc.string() }),
  }),
) as fc.Arbitrary<Reply>;

const answered: Reply = {
  id: 'a',
  outputs: [{ name: 'y', datatype: 'UINT8', shape: [2], data: Buffer.from([1, 2]) }],
  timing: { queueMs: 1, batchMs: 2, computeMs: 3, batchSize: 4 },
};

describe('replies', () => {
  test('are the same after packing and unpacking', () => {
    fc.assert(
      fc.property(fc.array(reply, { maxLength: 5 }), (replies) => {
        const packed = packReplies(replies);
        expect(unpackReplies(packed).map(plainReply)).toEqual(replies.map(plainReply));
        expect(idsOfReplies(packed)).toEqual(replies.map(({ id }) => id));
      }),
    );
  });

  test('say by their first bytes whether they are errors, of which others are not taken for outputs', () => {
    fc.assert(
      fc.property(reply, (one) => {
        const head = packReplies([one]).subarray(0, headBytes);
        expect(surelyHasOutputs(head)).toBe('outputs' in one);
      }),
    );
    for (const other of [Buffer.alloc(0), Buffer.alloc(headBytes), pack({ replies: [answered] })]) {
      expect(surelyHasOutputs(other)).toBe(false);
    }
  });

  test('are unpacked without copying their outputs', () => {
    const packed = packReplies([answered]);
    const [unpacked] = unpackReplies(packed) as [Extract<Reply, { outputs: unknown }>];
    expect(unpacked.outputs[0]?.data.buffer).toBe(packed.buffer);
  });

  const pack = (value: unknown) => new Packr({ useRecords: false }).pack(value);

  test.each([
    ['another version', packReplies([answered], wireVersion + 1)],
    ['no version', pack({ replies: [answered] })],
    ['a reply of another form', pack({ wire: wireVersion, replies: [{ id: 'a', scores: [1] }] })],
    [
      'an output that does not match its shape',
      packReplies([
        {
          ...answered,
          outputs: [{ name: 'y', datatype: 'FP32', shape: [2], data: Buffer.alloc(2) }],
        },
      ]),
    ],
  ])('with %s fail with wire_mismatch, and their ids are readable', (_what, packed) => {
    const error = errorOf(() => unpackReplies(packed));
    expect(error.code).toBe('wire_mismatch');
    expect(error.message).toMatch(/^API and worker do not understand each other: /);
    expect(idsOfReplies(packed)).toEqual(['a']);
  });

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['a text', Buffer.from('hello')],
    ['cut off', packReplies([answered]).subarray(0, 20)],
    ['a number', pack(5)],
  ])('that are %s fail with wire_mismatch, without ids', (_what, bytes) => {
    expect(errorOf(() => unpackReplies(bytes)).code).toBe('wire_mismatch');
    expect(idsOfReplies(bytes)).toEqual([]);
  });

  test('are read or refused, for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        expect(errorOf(() => unpackReplies(bytes)).code).toBe('wire_mismatch');
        idsOfReplies(bytes);
      }),
    );
  });
});

describe('the name of a queue', () => {
  const model = {
    name: 'a',
    version: '1',
    fileSha256: '0'.repeat(64),
    settings: '{}',
    labels: 'cat\ndog\n',
  };
  const name = queueName(model);

  test('consists of the model, its version and a digest', () => {
    expect(name).toMatch(/^a@1~[0-9a-f]{8}$/);
  });

  test.each([
    ['the wire version', queueName(model, wireVersion + 1)],
    ['the file', queueName({ ...model, fileSha256: '1'.repeat(64) })],
    ['the labels', queueName({ ...model, labels: 'dog\ncat\n' })],
    ['the settings', queueName({ ...model, settings: '[]' })],
    ['the version', queueName({ ...model, version: '2' })],
    ['the name', queueName({ ...model, name: 'b' })],
  ])('changes with %s', (_what, other) => {
    expect(other).not.toBe(name);
  });

  test('changes with nothing else', () => {
    const more = { ...model, id: randomUUID(), description: 'x', folder: '/y', deadlineMs: 5 };
    expect(queueName(more)).toBe(name);
    expect(queueName({ ...model, labels: Buffer.from(model.labels) })).toBe(name);
    expect(queueName(model, wireVersion)).toBe(name);
  });
});

test('a job whose requests are not traced says nothing about traces', () => {
  const inputs = [{ name: 'a', datatype: 'UINT8' as const, shape: [1], data: Buffer.of(1) }];
  const items = [{ id: randomUUID(), submittedAt: 1, deadlineAt: 2, inputs, trace: undefined }];
  expect(JSON.stringify(encodeJob({ replyTo: 'a', items }).job)).not.toContain('trace');
});
