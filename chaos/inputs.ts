// Prepares the requests and their expected answers. The inputs are questions and photographs. This
// process scores them directly, before the service starts.

import sharp from 'sharp';
import { Ending } from '../api/call/ending.js';
import { kindsOf, makeInputKinds } from '../api/kinds/kinds.js';
import { readPhotographs } from '../bench/photographs.js';
import { readQuestions } from '../bench/questions.js';
import { makeLogger } from '../shared/process/log.js';
import type { Model } from '../shared/registry/models.js';
import { mapScores } from '../shared/tensors/scores.js';
import { openScorer, type ScorerItem } from '../worker/batch/scorer.js';
import { type Contract, nativeContract, scoreTolerance } from './contracts.js';
import { answeredCount, keepDistinct, type Ranked } from './expected.js';
import { type PoisonKind, poisonColour, poisonText } from './poison.js';
import type { Input } from './target.js';

/** Workers try a poison several times, so it gets the longest deadline that the service allows. */
const poisonDeadlineMs = 30_000;
const questionsMax = 400;
const kinds = makeInputKinds({ imagePixelsMax: 50_000_000, imagesMax: 1, threads: 4 });

/**
 * Returns inputs for a model, with their expected answers. The answers all differ, so a swapped one
 * is noticed. Rejects if the model fails on an input.
 */
export async function prepareInputs(
  model: Model,
  deadlineMs: number,
  { encode }: Pick<Contract, 'encode'>,
): Promise<Input[]> {
  const bodies =
    model.manifest.input.kind === 'text'
      ? readTexts()
      : readPhotographs().map(({ bytes }) => bytes);
  const scorer = await openScorer(model, makeLogger({ role: 'chaos', level: 'error' }));
  const scored = [];
  for (const [index, body] of bodies.entries()) {
    const item = await toItem(model, body);
    const { results } = await scorer.score([item]);
    const result = results[0];
    if (!result || 'error' in result) {
      throw new Error(`${model.name} fails on its input ${index}, before any fault.`);
    }
    const expected = mapScores(
      result.outputs,
      (label, score): Ranked => [labelOf(model, label), score],
    );
    scored.push({ body, expected });
  }
  await scorer.close();
  return keepDistinct(scored, scoreTolerance).map(({ body, expected }) => ({
    model: model.name,
    expectation: { expected },
    request: encode(model, body, deadlineMs),
    deadlineMs,
  }));
}

/** Returns a request that makes the model misbehave. `tag` tells poisonous texts apart. */
export async function preparePoison(model: Model, kind: PoisonKind, tag: string): Promise<Input> {
  const body =
    model.manifest.input.kind === 'text'
      ? poisonText(kind, tag)
      : await sharp({
          create: { width: 320, height: 320, channels: 3, background: poisonColour(kind) },
        })
          .png()
          .toBuffer();
  return {
    model: model.name,
    expectation: { poison: kind },
    request: nativeContract().encode(model, body, poisonDeadlineMs),
    deadlineMs: poisonDeadlineMs,
  };
}

function readTexts(): string[] {
  const questions = readQuestions();
  const step = Math.max(1, Math.floor(questions.length / questionsMax));
  return questions.filter((_, index) => index % step === 0).slice(0, questionsMax);
}

/** Prepares an input as the API does. */
async function toItem(model: Model, body: string | Buffer): Promise<ScorerItem> {
  // findDifference needs more labels than an answer holds.
  const top = Math.min(model.labels.length, 2 * answeredCount);
  const { input: kind } = kindsOf(kinds, model);
  const inputs = await kind.prepare({ name: undefined, value: body }, model, new Ending());
  return { inputs, top };
}

/** Returns a class as the native route names it in `label`. */
function labelOf({ manifest, labels }: Model, index: number): string {
  const label = labels[index];
  return String(manifest.output.kind === 'ranking' ? label?.id : label?.text);
}
