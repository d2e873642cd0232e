// Inputs in JSON, as their sender wrote them.

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { JsonText, withInputsAsWritten } from '../../api/json-text.js';

/** Returns the texts of the inputs that a body has. */
function inputsIn(text: string): { input?: string; inputs?: string[] } {
  const { input, inputs } = withInputsAsWritten(text, JSON.parse(text)) as {
    input?: unknown;
    inputs?: unknown;
  };
  const written = (value: unknown) => {
    expect(value).toBeInstanceOf(JsonText);
    return (value as JsonText).text;
  };
  return {
    ...(input !== undefined && { input: written(input) }),
    ...(Array.isArray(inputs) && { inputs: inputs.map(written) }),
  };
}

test.each([
  ['{"input":1.0}', '1.0'],
  [
    '{ "top" : [1,{"input":2}] , "input" : 12345678901234567890 , "x": "input" }',
    '12345678901234567890',
  ],
  ['{"input": {"a": "b]}\\",", "c": [1, -0]}, "deadlineMs": 5}', '{"a": "b]}\\",", "c": [1, -0]}'],
  ['{"input":"a\\\\"}', '"a\\\\"'],
  ['{"\\u0069nput":null}', 'null'],
  ['{"input":1,"input":[2]}', '[2]'],
])('the input of %s is kept', (text, input) => {
  expect(inputsIn(text)).toEqual({ input });
});

test.each([
  ['{"inputs":[]}', []],
  ['{"inputs":[ 1.0 , [2, {"a": ","}],"b" ]}', ['1.0', '[2, {"a": ","}]', '"b"']],
])('the inputs of %s are kept', (text, inputs) => {
  expect(inputsIn(text)).toEqual({ inputs });
});

test('what is written is what was meant, whatever it is', () => {
  const spaces = fc.constantFrom(undefined, 1, 2);
  fc.assert(
    fc.property(fc.jsonValue(), fc.array(fc.jsonValue()), spaces, (input, inputs, indent) => {
      const text = JSON.stringify({ other: inputs, input, inputs }, undefined, indent);
      const found = inputsIn(text);
      expect(JSON.parse(found.input ?? '')).toEqual(JSON.parse(JSON.stringify(input)));
      expect(found.inputs?.map((each) => JSON.parse(each))).toEqual(
        JSON.parse(JSON.stringify(inputs)),
      );
    }),
  );
});

test.each(['null', '[{"input":1}]', '"input"', '7'])('%s has no inputs', (text) => {
  const value = JSON.parse(text);
  expect(withInputsAsWritten(text, value)).toBe(value);
});
