import { expect, test } from 'vitest';
import { namesOfNoModel } from '../../api/versions/at-rest.js';

test('what is neither the name nor the queue of a model is found', () => {
  const models = [
    { name: 'faq', queue: 'faq@1~abc' },
    { name: 'images', queue: 'images@2~def' },
  ];
  const those = ['faq', 'images@2~def', 'fqa', 'images@1~def', 'images@2'];
  expect(namesOfNoModel(those, models)).toEqual(['fqa', 'images@1~def', 'images@2']);
});
