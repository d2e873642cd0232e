// A steady load of questions, for tests in which Redis changes under it.

import type { Answer } from '../harness.js';
import { post } from '../harness.js';
import { expectAnswered, faqName, type Question, questions } from './scene.js';

const clients = 8;

/** Each method fails if an answer was wrong, or another error than `queue_unavailable`. */
export interface Load {
  /** How many requests have been answered with 200 and the right answer. */
  answered(): number;
  /** Ends the load. */
  stop(): Promise<void>;
}

/** Asks one question after the other, from several clients at a time. */
export function startLoad(service: { url: string }): Load {
  let answered = 0;
  let isStopped = false;

  const ask = async (question: Question) => {
    const url = `${service.url}/v1/models/${faqName}/score`;
    const answer: Answer = await post(url, { input: question.text });
    if (answer.status === 503 && answer.body.code === 'queue_unavailable') {
      await new Promise((resolve) => setTimeout(resolve, 50));
      return;
    }
    expectAnswered(answer, question);
    answered++;
  };
  const client = async (_: unknown, index: number) => {
    for (let turn = index; !isStopped; turn += clients) {
      await ask(questions[turn % questions.length] as Question);
    }
  };
  const running = Promise.all(Array.from({ length: clients }, client));
  let failure: unknown;
  running.catch((error) => {
    failure = error;
  });
  return {
    answered: () => {
      if (failure) throw failure;
      return answered;
    },
    stop: async () => {
      isStopped = true;
      await running;
    },
  };
}
