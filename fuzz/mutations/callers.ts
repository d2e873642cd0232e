// Mutations of who asks: credentials that are wrong, of others, in the wrong place, or there twice; and
// Idempotency-Keys.

import fc, { type Arbitrary } from 'fast-check';
import type { Callers } from '../callers.js';
import { asBytes, type Draft, type Field, withField, withoutField } from '../draft.js';
import { editText, oddTexts } from './edits.js';

// Arbitraries take longer to make than to draw from, so those that depend on nothing are made once.
const letterOrOdd = fc.oneof(fc.stringMatching(/^[0-9A-Za-z_]$/), oddTexts);
const wellFormed = fc.stringMatching(/^scl_[0-9A-Za-z]{10}_[0-9A-Za-z]{36}$/);
const tokens = makeTokens();
const scheme = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('Bearer ', 'bearer  ', 'BEARER\t', 'Bearer', 'Basic ') },
  oddTexts,
);

const inLine = (value: string) => asBytes(value.replace(/[\r\n]/g, ' '));

export function mutateCredential(draft: Draft, callers: Callers): Arbitrary<Draft> {
  const bare = withoutField(draft, 'X-API-Key');
  const keys = Object.values(callers);
  const key = fc.constantFrom(...keys);
  const wrong = fc.oneof(
    { weight: 4, arbitrary: key.chain((text) => editText(text, letterOrOdd)) },
    { weight: 2, arbitrary: fc.tuple(key, key).map(([one, other]) => swapped(one, other)) },
    key.map((text) => text.slice(0, -6)),
    key.map((text) => text.toLowerCase()),
    wellFormed,
    tokens,
    oddTexts,
  );
  const shown = fc.oneof({ weight: 3, arbitrary: wrong.map(inLine) }, key);
  return fc.oneof(
    {
      weight: 4,
      arbitrary: shown.map((text) => withField(bare, 'X-API-Key', text)),
    },
    {
      weight: 4,
      arbitrary: fc
        .tuple(scheme, shown)
        .map(([before, text]) => withField(bare, 'Authorization', inLine(before) + text)),
    },
    // Of another caller.
    { weight: 4, arbitrary: key.map((text) => withField(bare, 'Authorization', `Bearer ${text}`)) },
    // Two at once.
    {
      weight: 2,
      arbitrary: fc.tuple(shown, fc.constantFrom('Authorization', 'X-API-Key')).map(
        ([text, name]): Draft => ({
          ...draft,
          fields: [
            ...draft.fields,
            [name, name === 'X-API-Key' ? text : `Bearer ${text}`] as Field,
          ],
        }),
      ),
    },
    // Where no key belongs.
    fc
      .tuple(shown, fc.constantFrom('Cookie', 'X-Api_Key', 'Proxy-Authorization', 'api-key'))
      .map(([text, name]) => withField(bare, name, text)),
    fc.constant(bare),
  );
}

/** With the id of one key and the secret of the other. */
function swapped(one: string, other: string): string {
  return one.slice(0, 15) + other.slice(15);
}

/** Writes tokens without a signature that anybody made. */
function makeTokens(): Arbitrary<string> {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const head = fc.record({ alg: fc.constantFrom('none', 'HS256', 'RS256', ''), kid: oddTexts });
  const claims = fc.record({ iss: oddTexts, sub: oddTexts, exp: fc.integer(), scp: oddTexts });
  return fc
    .tuple(head, claims, fc.base64String({ maxLength: 40 }))
    .map(([one, two, signature]) => `${part(one)}.${part(two)}.${signature.replaceAll('=', '')}`);
}

export function mutateIdempotencyKey(draft: Draft, callers: Callers): Arbitrary<Draft> {
  const few = fc.integer({ min: 1, max: 40 }).map((number) => `order-${number}`);
  const key = fc.oneof(
    { weight: 4, arbitrary: few },
    oddTexts,
    few.chain((text) => editText(text)),
    fc.constantFrom('"a"', '"a', '""', 'a'.repeat(255), 'a'.repeat(256), ' a ', 'é'),
  );
  const caller = fc.constantFrom(callers.score, callers.admin, callers.oneModel);
  return fc
    .tuple(fc.array(key, { minLength: 1, maxLength: 2 }), caller)
    .map(([keys, credential]) => {
      const own = withField(draft, 'X-API-Key', credential);
      const more = keys.map((text): Field => ['Idempotency-Key', inLine(text)]);
      return { ...own, fields: [...own.fields, ...more] };
    });
}
