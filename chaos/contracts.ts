// The two contracts by which a run can ask: how a request is written, and how an answer is read.

import { encodeRequest } from '../bench/client.js';
import type { Model } from '../shared/registry/models.js';
import { answeredCount, type Ranked } from './expected.js';
import type { AnswerForm } from './judge.js';

export interface Contract {
  encode(model: Model, body: string | Buffer, withinMs: number): Buffer;
  /** Makes the form for one run, as it may remember the answers. */
  makeForm(): AnswerForm;
}

/** The rest of the batch may change the last digits of a score. */
export const scoreTolerance = 1e-4;

type Headers = Readonly<Record<string, string>>;

/** The headers are sent with each request. */
export const nativeContract = (headers: Headers = {}): Contract => ({
  encode({ name }, body, withinMs) {
    const isText = typeof body === 'string';
    return encodeRequest({
      pathname: `/v1/models/${name}/score`,
      headers: {
        'Content-Type': isText ? 'application/json' : typeOf(body),
        'Request-Timeout': String(withinMs / 1000),
        ...headers,
      },
      body: isText ? JSON.stringify({ input: body, top: answeredCount }) : body,
    });
  },
  /** Checks that no two answers have the same id. */
  makeForm() {
    const ids = new Set<string>();
    return {
      tolerance: scoreTolerance,
      connectionLossIsRefusal: true,
      read(body) {
        const { id, predictions } = JSON.parse(body);
        if (typeof id !== 'string' || ids.has(id)) throw new Error(`the id ${id} came twice`);
        ids.add(id);
        return predictions.map(({ label, score }: { label: string; score: number }) => [
          label,
          score,
        ]);
      },
    };
  },
});

/** That of the reference: the form of the input says which model is meant. */
export const referenceContract = (headers: Headers = {}): Contract => ({
  encode(_model, body, withinMs) {
    const input = typeof body === 'string' ? body : { [pictureName]: body.toString('base64') };
    return encodeRequest({
      pathname: '/score',
      headers: { 'Request-Timeout': String(withinMs / 1000), ...headers },
      body: JSON.stringify({ input }),
    });
  },
  makeForm: () => ({
    tolerance: scoreTolerance,
    connectionLossIsRefusal: true,
    read(body) {
      const [result] = JSON.parse(body).result;
      return Array.isArray(result)
        ? result.slice(0, answeredCount).map(readQuestion)
        : result[pictureName].map(readClass);
    },
  }),
});

const pictureName = 'picture';

/** All questions are in an answer, best first. */
function readQuestion([id, , score]: [number, number, number]): Ranked {
  return [String(id), score];
}

/** A class is written as `n02123597 Siamese cat, Siamese`. */
function readClass([label, score]: [string, number]): Ranked {
  return [label.slice(label.indexOf(' ') + 1), score];
}

function typeOf(picture: Buffer): string {
  return picture[0] === 0x89 ? 'image/png' : 'image/jpeg';
}
