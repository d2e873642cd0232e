// The two scenarios that benchmarks load a service with: questions for the FAQ matcher, and photographs for a small
// network.

import type { Load } from './load.js';
import { isRanked } from './load.js';
import { readPhotographs } from './photographs.js';
import { readQuestionBodies } from './questions.js';

export interface Scenario {
  readonly model: string;
  readonly load: Pick<Load, 'bodies' | 'headers' | 'isRight'>;
}

export function scenarioOf(hasPictures: boolean): Scenario {
  if (hasPictures) {
    const bodies = readPhotographs().map(({ bytes }) => bytes);
    const headers = { 'Content-Type': 'image/jpeg' };
    return { model: 'efficientnet-lite0', load: { bodies, headers, isRight: isRanked } };
  }
  const bodies = readQuestionBodies();
  return { model: 'faq-matcher', load: { bodies, isRight: isRanked } };
}
