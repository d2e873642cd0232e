// Shows the JSON Schemas of the description as lists of fields.

import { type Child, type Html, html, inline } from '../../pages/html.js';
import type { Document, Schema } from '../openapi.js';

/** Deeper fields are shown by their type only. */
const depthMax = 6;

export class SchemaView {
  readonly #document: Document;

  constructor(document: Document) {
    this.#document = document;
  }

  /** Shows what a schema says: its type, and the fields below it. */
  show(schema: Schema): Html {
    const label = this.label(schema);
    const type = label === 'object' ? undefined : html`<p class="type">${label}</p>`;
    return html`${type}${this.#inside(schema, [])}`;
  }

  #resolve(schema: Schema): Schema {
    const { $ref } = schema;
    if (typeof $ref !== 'string') return schema;
    return this.#document.components.schemas[lastOf($ref)] ?? {};
  }

  /** Says in a few words what a value is. */
  label(given: Schema, depth = 0): string {
    const schema = this.#resolve(given);
    const { type, anyOf, prefixItems, items } = schema;
    if (schema.const !== undefined) return JSON.stringify(schema.const);
    if (Array.isArray(schema.enum))
      return schema.enum.map((value) => JSON.stringify(value)).join(' or ');
    if (Array.isArray(anyOf)) {
      if (depth > 1) return 'one of several forms';
      return [...new Set(anyOf.map((each: Schema) => this.label(each, depth + 1)))].join(', or ');
    }
    if (Array.isArray(prefixItems)) {
      return `[${prefixItems.map((each: Schema) => this.label(each, depth + 1)).join(', ')}]`;
    }
    if (type === 'array') {
      const of = depth > 1 || !items ? 'values' : this.label(items as Schema, depth + 2);
      return `list of ${of}`;
    }
    if (type === 'object') return isMap(schema) ? 'object by name' : 'object';
    const word = words[String(type)] ?? 'any value';
    return [schema.format === 'binary' ? 'bytes' : word, ...limitsOf(schema)].join(', ');
  }

  /** The fields below a value, if it has any. */
  #inside(given: Schema, path: readonly Schema[]): Child {
    const schema = this.#resolve(given);
    if (path.includes(schema) || path.length > depthMax) return undefined;
    const deeper = [...path, schema];
    const { properties, items, anyOf, additionalProperties } = schema;
    if (properties) return this.#fields(schema, deeper);
    if (Array.isArray(anyOf)) {
      return unique(anyOf.map((each: Schema) => this.#inside(each, deeper)));
    }
    if (isSchema(items)) return this.#inside(items, deeper);
    if (isSchema(additionalProperties)) return this.#inside(additionalProperties, deeper);
    return undefined;
  }

  #fields({ properties, required = [] }: Schema, path: readonly Schema[]): Html {
    const rows = Object.entries(properties as Record<string, Schema>).map(([name, field]) => {
      const isNeeded = (required as readonly string[]).includes(name);
      const description = field.description ?? this.#resolve(field).description;
      return html`<li><code class="name">${name}</code> <span class="type">${this.label(field)}</span>${isNeeded ? undefined : html` <span class="optional">optional</span>`}${
        typeof description === 'string'
          ? html`<div class="about">${inline(description)}</div>`
          : undefined
      }${this.#inside(field, path)}</li>`;
    });
    return html`<ul class="fields">${rows}</ul>`;
  }
}

const words: Readonly<Record<string, string>> = {
  string: 'text',
  integer: 'whole number',
  number: 'number',
  boolean: 'true or false',
  null: 'null',
};

function limitsOf(schema: Schema): string[] {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, maxLength } = schema;
  if (minimum !== undefined && maximum !== undefined) return [`${minimum} to ${maximum}`];
  return [
    ...(minimum === undefined ? [] : [`${minimum} or more`]),
    ...(exclusiveMinimum === undefined ? [] : [`above ${exclusiveMinimum}`]),
    ...(maximum === undefined ? [] : [`up to ${maximum}`]),
    ...(exclusiveMaximum === undefined ? [] : [`below ${exclusiveMaximum}`]),
    ...(maxLength === undefined ? [] : [`up to ${maxLength} characters`]),
  ];
}

function isMap({ properties, additionalProperties }: Schema): boolean {
  return properties === undefined && isSchema(additionalProperties);
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && Object.keys(value).length > 0;
}

/** Returns the name of what a reference leads to. */
export function lastOf(reference: string): string {
  return reference.slice(reference.lastIndexOf('/') + 1);
}

/** Several forms can have the same fields. */
function unique(children: readonly Child[]): Child[] {
  const seen = new Set<string>();
  return children.filter((child) => {
    const { text } = html`${child}`;
    if (seen.has(text)) return false;
    seen.add(text);
    return true;
  });
}
