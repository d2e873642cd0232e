// The requests of a run: originals, most of them mutated in one way, some in two.

import fc, { type Arbitrary } from 'fast-check';
import type { Callers } from './callers.js';
import { type Draft, encode, type Shot } from './draft.js';
import { mutateMethod, mutatePath, mutateQuery } from './mutations/address.js';
import { mutateForm, mutateJson, mutateText } from './mutations/bodies.js';
import { mutateCredential, mutateIdempotencyKey } from './mutations/callers.js';
import { mutateFields } from './mutations/fields.js';
import { mutatePicture } from './mutations/pictures.js';
import { mutateWire } from './mutations/wire.js';
import type { BodyKind, Original, Originals } from './originals.js';

interface Mutation {
  readonly weight: number;
  /** The kind of body that the original must have; if unset, any. */
  readonly bodyKind?: BodyKind;
  readonly mutate: (original: Original) => Arbitrary<Draft>;
}

const wireWeight = 8;
/** How often a request on a broken connection waits for what the server does, which takes seconds. */
const patientWeight = 1;

/** Makes the requests. Pictures have a small share, since one costs as much as fifty others. */
export function makeShots({ all, pictures }: Originals, callers: Callers): Arbitrary<Shot> {
  const mutations: Readonly<Record<string, Mutation>> = {
    original: { weight: 5, mutate: (original) => fc.constant(original) },
    path: { weight: 14, mutate: mutatePath },
    query: { weight: 9, mutate: mutateQuery },
    method: { weight: 6, mutate: mutateMethod },
    fields: { weight: 16, mutate: mutateFields },
    json: { weight: 16, bodyKind: 'json', mutate: mutateJson },
    text: { weight: 6, bodyKind: 'text', mutate: mutateText },
    form: { weight: 7, bodyKind: 'form', mutate: mutateForm },
    picture: {
      weight: 6,
      bodyKind: 'picture',
      mutate: (original) => mutatePicture(original, pictures),
    },
    credential: { weight: 8, mutate: (original) => mutateCredential(original, callers) },
    idempotency: {
      weight: 5,
      bodyKind: 'json',
      mutate: (original) => mutateIdempotencyKey(original, callers),
    },
  };
  /** Reads and texts are cheap, so they come more often than pictures. */
  const cheap = all.filter(({ target, body }) => body.length < 2000 && !target.includes('lite0'));
  const originals = fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(...cheap) },
    { weight: 1, arbitrary: fc.constantFrom(...all) },
  );
  const fitting = (kind: BodyKind | undefined) =>
    kind === undefined
      ? originals
      : originalsWith(kind === 'picture' ? all : [...cheap, ...cheap, ...all], kind);

  const once = Object.entries(mutations).map(([kind, { weight, bodyKind, mutate }]) => ({
    weight,
    arbitrary: fitting(bodyKind)
      .chain(mutate)
      .map((draft): Shot => ({ kind, bytes: encode(draft), isWhole: true })),
  }));
  const twice = {
    weight: 6,
    arbitrary: originals
      .chain(mutateFields)
      .chain((draft) =>
        fc.oneof(mutatePath(draft), mutateQuery(draft), mutateCredential(draft, callers)),
      )
      .map((draft): Shot => ({ kind: 'several', bytes: encode(draft), isWhole: true })),
  };
  const wire = {
    weight: wireWeight,
    arbitrary: fc
      .tuple(originals.chain(mutateWire), patience())
      .map(
        ([bytes, leaveAfterMs]): Shot => ({ kind: 'wire', bytes, isWhole: false, leaveAfterMs }),
      ),
  };
  return fc.oneof(...once, twice, wire);
}

function originalsWith(all: readonly Original[], kind: BodyKind): Arbitrary<Original> {
  return fc.constantFrom(...all.filter(({ bodyKind }) => bodyKind === kind));
}

function patience(): Arbitrary<number | undefined> {
  return fc.oneof(
    { weight: 30, arbitrary: fc.constantFrom(0, 20, 200) },
    { weight: patientWeight, arbitrary: fc.constant(undefined) },
  );
}
