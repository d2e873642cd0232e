// Checks a model as far as that is possible without a service: its manifest, its files, the shapes of
// its network, and the answer to its example.

import { readValue } from '../api/kinds/regression.js';
import { ScorelineError } from '../shared/errors.js';
import { makeLogger } from '../shared/log.js';
import { type ScoresExample, scoresExampleOf, scoresOf } from '../shared/manifest.js';
import { filesOf } from '../shared/model-files.js';
import type { Model } from '../shared/models.js';
import { mapScores } from '../shared/scores.js';
import { declareNetwork } from '../worker/batch/declared.js';
import { openScorer, type Scorer, type ScorerItem } from '../worker/batch/scorer.js';
import { verifyFiles } from '../worker/files/verification.js';
import { makeRehearse } from '../worker/quarantine/rehearsal.js';
import { checkTensorsExample } from './check-tensors.js';
import { prepareExample } from './model-inputs.js';

/**
 * Says a line for each step.
 * @throws ScorelineError of the first step that fails
 */
export async function checkModel(model: Model, say: (line: string) => void): Promise<void> {
  const { example, network, output } = model.manifest;
  const scores = scoresExampleOf(model.manifest);
  say(`${model.name}@${model.version}`);
  const classes = 'labels' in output ? `${model.labels.length} classes` : output.kind;
  say(`  manifest   valid, ${classes}`);

  await verifyFiles(model);
  for (const { file, bytes } of filesOf(model)) {
    say(`  file       ${file}: ${bytes} bytes, SHA-256 matches`);
  }

  const item = scores && {
    inputs: await prepareExample(model, scores),
    top: model.labels.length > 0 ? 1 : undefined,
  };
  const log = makeLogger({ role: 'check', level: 'silent' });
  const scorer = await openScorer(model, log, {
    rehearse: makeRehearse(),
    ...(item && { sample: item.inputs }),
  });
  try {
    say('  shapes     inputs and outputs fit, at the smallest and the largest batch');
    say(
      network
        ? '  network    as the manifest declares it'
        : `  network    not declared; for the Open Inference Protocol, add this line to the manifest:\n${declareNetwork(scorer.values)}`,
    );
    if (scorer.warning !== undefined) say(`  warning    ${scorer.warning}`);
    if (item) say(`  example    ${await checkExample(model, scorer, { item, ...scores })}`);
    else if (example) say(`  example    ${await checkTensorsExample(model, scorer)}`);
    else say('  example    none in the manifest, so no answer was compared');
  } finally {
    await scorer.close();
  }
}

/** Compares the answer to the example with the expected one, and describes it. */
async function checkExample(
  model: Model,
  scorer: Scorer,
  { item, expected }: { item: ScorerItem; expected: ScoresExample['expected'] },
): Promise<string> {
  const [result] = (await scorer.score([item])).results;
  if (!result) throw new Error('No result. This is a bug.');
  if ('error' in result) {
    throw new ScorelineError(result.error.code, `${model.name}: example: ${result.error.detail}`);
  }
  if (expected.value !== undefined) {
    return compareValue(model, readValue(result.outputs), { ...expected, value: expected.value });
  }
  const [best] = mapScores(result.outputs, (index, score) => ({ index, score }));
  if (!best) throw new Error('No scores. This is a bug.');
  const got = `${JSON.stringify(model.labels[best.index]?.text)} at ${best.score}`;
  const { label, score = best.score, tolerance } = expected;
  const isRight = model.labels[best.index]?.text === label;
  if (isRight && Math.abs(best.score - score) <= tolerance) return `${got}, as expected`;
  const at = expected.score === undefined ? '' : ` at ${score} ± ${tolerance}`;
  const isLabel = model.labels.some(({ text }) => text === label);
  const remark = isLabel ? '' : `, which is not in ${scoresOf(model.manifest).labels}`;
  throw new ScorelineError(
    'model_file_wrong',
    `${model.name}: example: expected ${JSON.stringify(label)}${at}${remark}; got ${got}`,
  );
}

function compareValue(
  { name }: Model,
  got: number,
  { value, tolerance }: { value: number; tolerance: number },
): string {
  if (Math.abs(got - value) <= tolerance) return `${got}, as expected`;
  throw new ScorelineError(
    'model_file_wrong',
    `${name}: example: expected ${value} ± ${tolerance}; got ${got}`,
  );
}
