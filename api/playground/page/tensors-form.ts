// Tensors to send to a network: for each input its shape and its elements, checked while one types.

import type { TensorRequest } from '../../../client/client.js';
import { labelled, makeButton, makeForm } from './controls.js';
import { element, freshId } from './element.js';
import type { ModelInfo } from './service.js';
import { blankOf, type Declared, parseData, readTensor, type Typed } from './tensor-text.js';
import type { Asking } from './text-form.js';

type Tensor = TensorRequest['inputs'][number];

interface TensorEditor {
  readonly node: HTMLElement;
  fill(typed: Typed): void;
  /** Returns the tensor, or undefined if something is wrong, which the editor then says. */
  read(): Tensor | undefined;
  focus(): void;
}

export function makeTensorsForm(model: ModelInfo, { askFor, changed }: Asking): HTMLElement {
  const declared = model.network?.inputs;
  const editors = declared?.map(makeEditor) ?? [makeRequestEditor()];
  const example = model.examples.find(isListOfTensors);
  const fillExample = () => {
    for (const [at, { name }] of (declared ?? []).entries()) {
      const given = example?.find((tensor) => tensor.name === name);
      if (given) editors[at]?.fill(typedOf(given));
    }
  };
  fillExample();
  const submit = () => {
    const inputs = editors.map((editor) => editor.read());
    const faulty = inputs.indexOf(undefined);
    if (faulty >= 0) editors[faulty]?.focus();
    else {
      const request = { inputs: inputs.flat().filter((input) => input !== undefined) };
      askFor({ kind: 'tensors', request }, false);
    }
  };
  const check = () => {
    for (const editor of editors) editor.read();
    changed();
  };
  const submitExample = () => {
    fillExample();
    submit();
  };
  return makeForm(
    { class: 'stack', oninput: check },
    submit,
    editors.map(({ node }) => node),
    element(
      'div',
      { class: 'row' },
      makeButton('Send', 'primary'),
      example && makeButton('Send the example', '', submitExample),
    ),
  );
}

function isListOfTensors(example: unknown): example is readonly Tensor[] {
  return Array.isArray(example);
}

function typedOf({ shape, data }: Tensor): Typed {
  return { shape: shape.join(', '), data: JSON.stringify(data) };
}

function makeEditor(declared: Declared): TensorEditor {
  const { name, datatype, shape } = declared;
  const id = freshId('tensor');
  const shapeField = element('input', {
    ...{ id: `${id}-shape`, type: 'text', inputmode: 'numeric', autocomplete: 'off' },
  });
  const dataField = element('textarea', {
    ...{ id: `${id}-data`, rows: 4, class: 'mono', spellcheck: 'false' },
  });
  const fault = element('p', { class: 'fault', id: `${id}-fault`, role: 'status' });
  for (const field of [shapeField, dataField]) field.setAttribute('aria-describedby', fault.id);
  const read = () => {
    const got = readTensor(declared, { shape: shapeField.value, data: dataField.value });
    const isFaulty = 'fault' in got;
    fault.textContent = isFaulty ? got.fault : '';
    shapeField.setAttribute('aria-invalid', String(isFaulty && got.field === 'shape'));
    dataField.setAttribute('aria-invalid', String(isFaulty && got.field === 'data'));
    return isFaulty ? undefined : got.tensor;
  };
  const fill = (typed: Typed) => {
    shapeField.value = typed.shape;
    dataField.value = typed.data;
  };
  fill(blankOf(declared));
  const node = element(
    'fieldset',
    { class: 'tensor-editor' },
    element(
      'legend',
      {},
      name,
      ' ',
      element('code', { class: 'muted' }, `${datatype} [${shape.join(', ')}]`),
    ),
    labelled('Shape', shapeField),
    labelled('Elements, in JSON', dataField),
    fault,
  );
  return {
    node,
    fill,
    read,
    focus: () => (dataField.ariaInvalid === 'true' ? dataField : shapeField).focus(),
  };
}

/** For a model whose manifest does not say what its network takes. */
function makeRequestEditor(): TensorEditor {
  const id = freshId('request');
  const field = element('textarea', { id, rows: 8, class: 'mono', spellcheck: 'false' });
  const fault = element('p', { class: 'fault', id: `${id}-fault`, role: 'status' });
  field.setAttribute('aria-describedby', fault.id);
  field.value = '{ "name": "input", "datatype": "FP32", "shape": [1, 2], "data": [0, 0] }';
  const read = () => {
    try {
      fault.textContent = '';
      const tensor = JSON.parse(field.value) as Tensor;
      const exact = parseData<Tensor>(tensor.datatype, field.value);
      return { ...tensor, data: exact.data };
    } catch (thrown) {
      fault.textContent = `Expected JSON: ${(thrown as Error).message}`;
      return undefined;
    }
  };
  const node = labelled('The input tensor, in JSON', field, fault);
  return { node, read, fill: () => {}, focus: () => field.focus() };
}
