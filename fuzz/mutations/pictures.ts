// Mutations of pictures: damaged files, and files that declare what they are not.

import fc, { type Arbitrary } from 'fast-check';
import { type Draft, withField } from '../draft.js';
import { formType, imageRoute, type Picture, writeForm } from '../originals.js';
import { editBytes } from './edits.js';

export function mutatePicture(draft: Draft, pictures: readonly Picture[]): Arbitrary<Draft> {
  const files = pictures.map(({ bytes }) => bytes);
  const types = [...new Set(pictures.map(({ mediaType }) => mediaType))];
  const damaged = fc
    .tuple(fc.constantFrom(...pictures), fc.constantFrom(...files))
    .chain(([{ mediaType, bytes }, other]) =>
      fc.tuple(
        fc.oneof(
          { weight: 8, arbitrary: editBytes(bytes, [other]) },
          fc.uint8Array({ maxLength: 200 }).map((all) => Buffer.from(all)),
        ),
        fc.oneof({ weight: 4, arbitrary: fc.constant(mediaType) }, fc.constantFrom(...types)),
      ),
    );
  const ways = fc.constantFrom<Way>('raw', 'raw', 'octets', 'form', 'json', 'reference', 'several');
  return fc.tuple(damaged, ways).map(([[bytes, type], way]) => send(draft, { bytes, type, way }));
}

type Way = 'raw' | 'octets' | 'form' | 'json' | 'reference' | 'several';

function send(
  draft: Draft,
  { bytes, type, way }: { bytes: Buffer; type: string; way: Way },
): Draft {
  const to = (target: string, contentType: string, body: Buffer) =>
    withField({ ...draft, target, body }, 'Content-Type', contentType);
  const json = (target: string, value: object) =>
    to(target, 'application/json', Buffer.from(JSON.stringify(value)));
  const base64 = bytes.toString('base64');
  switch (way) {
    case 'raw':
      return to(imageRoute, type, bytes);
    case 'octets':
      return to(imageRoute, 'application/octet-stream', bytes);
    case 'form':
      return to(imageRoute, formType, writeForm([{ name: 'image', file: 'a', bytes }]));
    case 'json':
      return json(imageRoute, { input: `data:${type};base64,${base64}` });
    case 'reference':
      return json('/score', { input: { a: `b'${base64}'` } });
    case 'several':
      return json('/score', { input: { a: base64, b: `"${base64}"` } });
  }
}
