// What a manifest says of answers: which output of the network holds them, and what its numbers mean.

import { z } from 'zod';

const positive = z.number().int().positive();

const tensor = z
  .string()
  .min(1)
  .optional()
  .describe(
    'The output of the network with the scores or the number. If unset, the first output of floats that `network` declares, or that the file has where nothing is declared.',
  );

const scores = {
  labels: z
    .string()
    .optional()
    .describe(
      'The file with the labels, relative to the manifest, in the order of the scores. For a classification, a text file with a line for each class: `id label`, or only `label`. Without it, the classes are numbered from 0, and `network` says how many there are. For a ranking, which needs it, a JSON array of `{id, answerId, question, answer}`.',
    ),
  tensor,
  activation: z
    .enum(['none', 'softmax', 'sigmoid'])
    .default('none')
    .describe(
      'What makes probabilities of the scores. `softmax` is for logits if an input has one class, and `sigmoid` for logits if it can have several, or for one logit of two classes. `none` is for scores that are probabilities already.',
    ),
  threshold: z
    .union([z.number(), z.array(z.number()).min(1)], 'expected a number, or one for each label')
    .optional()
    .describe(
      'The least score of a class that is answered: a number, or one for each label, in their order. An answer then holds each class that has it, and none if none does. From 0 to 1 with `softmax` and `sigmoid`; not for a ranking.',
    ),
  top: positive
    .optional()
    .describe(
      'How many of the best classes are answered at most if the request does not say. If unset, 3; with a threshold, all.',
    ),
};

const unreachable = {
  path: ['threshold'],
  message:
    'expected 0 to 1, as are the scores of softmax and sigmoid: 0.5 for an even chance, and not 50',
};

/** Whether scores of the activation can be on either side of each threshold. */
function isReachable({
  activation,
  threshold,
}: {
  activation: 'none' | 'softmax' | 'sigmoid';
  threshold?: number | number[] | undefined;
}): boolean {
  if (activation === 'none' || threshold === undefined) return true;
  return [threshold].flat().every((each) => each >= 0 && each <= 1);
}

export const scoresSchema = z
  .strictObject({
    kind: z.enum(['ranking', 'classification']),
    ...scores,
    known: z
      .string()
      .min(1)
      .optional()
      .describe(
        'The output of the network that says whether it knows anything of its input: a number for each row, 0 if it knows nothing. Answers then have the field `known`.',
      ),
  })
  .refine(({ kind, labels }) => kind !== 'ranking' || labels !== undefined, {
    path: ['labels'],
    message: 'expected the file with the questions and answers, since its kind is ranking',
  })
  .refine(({ kind, threshold }) => kind !== 'ranking' || threshold === undefined, {
    path: ['threshold'],
    message: 'expected none, since its kind is ranking',
  })
  .refine(isReachable, unreachable);

export const regressionSchema = z.strictObject({ kind: z.literal('regression'), tensor });

export const jsonSchema = z.strictObject({
  kind: z.literal('json'),
  tensor: z
    .string()
    .min(1)
    .optional()
    .describe('The output of the program with the answers, of BYTES. If unset, `json`.'),
});

/** The output of a program that answers with JSON, unless the manifest names another. */
export const jsonName = 'json';

/** A further answer of a model, beside that of `output`. */
const headSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('classification'), ...scores }).refine(isReachable, unreachable),
  regressionSchema,
  jsonSchema,
  z.strictObject({ kind: z.literal('tensors'), tensor }),
]);

const headsMax = 64;

export const headsSchema = z
  .record(z.string(), headSchema)
  .superRefine((heads, context) => {
    const names = Object.keys(heads);
    for (const name of names.filter((each) => !/^[A-Za-z][\w-]{0,62}$/.test(each))) {
      const message = 'expected a name of letters, digits, _ and -';
      context.addIssue({ code: 'custom', path: [name], message, input: heads[name] });
    }
    if (names.length <= headsMax) return;
    const message = `expected at most ${headsMax} outputs`;
    context.addIssue({ code: 'custom', message, input: heads });
  })
  .describe(
    'Further answers, each from another output of the network: a map of at most 64 names of letters, digits, `_` and `-`. The name is that of the output of the network, unless `tensor` names it.',
  );

/** The output of a model that scores classes. */
export type ScoresOutput = z.output<typeof scoresSchema>;
/** What the manifest says of a further answer. */
export type HeadOutput = z.output<typeof headSchema>;
/** What scores classes: an output, or one of a further answer. */
export type Scores = Pick<ScoresOutput, 'labels' | 'tensor' | 'activation' | 'threshold' | 'top'>;

/** Whether an output scores classes. */
export function scoresClasses<O extends { readonly kind: string }>(
  output: O,
): output is Extract<O, { kind: ScoresOutput['kind'] }> {
  return output.kind === 'ranking' || output.kind === 'classification';
}

const topDefault = 3;

/** How many classes an answer has at most, unless its request says so. */
export function topOf({ top, threshold }: Pick<Scores, 'top' | 'threshold'>, classes: number) {
  return Math.min(top ?? (threshold === undefined ? topDefault : classes), classes);
}
