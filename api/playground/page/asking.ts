// What a person asks a model, and how the answer comes.

import type { Input, Row, Score, TensorRequest } from '../../../client/client.js';
import type { Inference } from '../../../client/job.js';
import { type ModelInfo, type Note, type Noted, type Service, serviceUrl } from './service.js';
import { settings } from './settings.js';
import type { Sent } from './snippets.js';

export type Asked =
  | {
      readonly kind: 'value';
      readonly input: string | Row;
    }
  /** As it was typed: 1.0 would be sent as 1 otherwise, which is another type in Python. */
  | { readonly kind: 'json'; readonly text: string }
  | {
      readonly kind: 'file';
      readonly file: Blob;
      readonly name: string;
      /** If it is one of the samples. */
      readonly url?: string | undefined;
    }
  | { readonly kind: 'tensors'; readonly request: TensorRequest };

export interface Answered {
  readonly answer: Score | Inference;
  /** Undefined if it was the answer of a job. */
  readonly note?: Note | undefined;
}

export function ask(
  service: Service,
  model: ModelInfo,
  { asked, signal }: { asked: Asked; signal: AbortSignal },
): Promise<Noted<Score | Inference>> {
  if (asked.kind === 'tensors') return service.infer(model, asked.request, { signal });
  return service.score(model, inputOf(asked), { signal });
}

export function submit(
  service: Service,
  { name, version }: ModelInfo,
  { asked, signal }: { asked: Asked; signal: AbortSignal },
) {
  const options = { version, signal, retries: 0 };
  if (asked.kind === 'tensors') return service.client.submitTensors(name, asked.request, options);
  return service.client.submit(name, inputOf(asked), options);
}

function inputOf(asked: Exclude<Asked, { kind: 'tensors' }>): Input {
  if (asked.kind === 'json') return new Blob([asked.text]);
  return asked.kind === 'file' ? asked.file : asked.input;
}

/** The request, as the code to copy shows it. */
export function sentOf({ name, version }: ModelInfo, asked: Asked, isLater: boolean): Sent {
  const path = `models/${encodeURIComponent(name)}/versions/${encodeURIComponent(version)}`;
  const url = `${serviceUrl}${asked.kind === 'tensors' ? 'v2' : 'v1'}/${path}/${asked.kind === 'tensors' ? 'infer' : 'score'}`;
  return { url, body: bodyOf(asked), isGuarded: settings.isGuarded, isLater };
}

function bodyOf(asked: Asked): Sent['body'] {
  if (asked.kind === 'value') return { type: 'json', value: { input: asked.input } };
  if (asked.kind === 'json') return { type: 'typed', json: `{"input": ${asked.text.trim()}}` };
  if (asked.kind === 'tensors') return { type: 'json', value: asked.request };
  const { file, name, url } = asked;
  const mediaType = file.type.startsWith('image/') ? file.type : 'application/octet-stream';
  if (url !== undefined) return { type: 'fetched', url, mediaType };
  return { type: 'file', name, mediaType };
}
