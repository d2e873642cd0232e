import type { Request, Response } from 'express';
import type { Call } from '../../call/call.js';

/**
 * Answers a request that is to be scored, for which a call was opened.
 * @throws ScorelineError what the client is told instead of an answer
 */
export type ScoreHandler = (call: Call, request: Request, response: Response) => Promise<void>;
