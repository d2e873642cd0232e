// Text as the model takes it: strings as [N], or as [N, 1], the shape skl2onnx gives a pipeline.

import type { Stack } from './kinds.js';

export function makeStackTexts(rank: number): Stack {
  return (items) => ({
    type: 'string',
    dims: rank === 2 ? [items.length, 1] : [items.length],
    data: items.map((item) => item.text ?? ''),
  });
}
