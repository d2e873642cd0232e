// Text as the model takes it: strings as [N, 1], the shape skl2onnx gives a pipeline of strings.

import type { Stack } from '../kinds.js';

export const stackTexts: Stack = (items) => ({
  type: 'string',
  dims: [items.length, 1],
  data: items.map((item) => item.text ?? ''),
});
