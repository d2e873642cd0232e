// The parts that operations share: each is written once, under `components`, and referred to.

import { z } from 'zod';
import type { Components, Header, Parameter, Ref, Response, Schema } from './openapi.js';

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** Collects the shared parts of one document. */
export class Parts {
  readonly #schemas = z.registry<{ id: string }>();
  readonly #ids = new Set<string>();
  readonly #responses = new Map<string, Response>();
  readonly #parameters = new Map<string, Parameter>();
  readonly #headers = new Map<string, Header>();

  /** Names a schema unless there is one of this name, which must be the same. Other schemas refer to it. */
  schema(id: string, schema: z.ZodType): Ref {
    if (!this.#ids.has(id)) this.#schemas.add(schema, { id });
    this.#ids.add(id);
    return { $ref: `#/components/schemas/${id}` };
  }

  /** Adds a response unless there is one of this name, which must be the same. */
  response(id: string, make: () => Response): Ref {
    if (!this.#responses.has(id)) this.#responses.set(id, make());
    return { $ref: `#/components/responses/${id}` };
  }

  parameter(id: string, parameter: Parameter): Ref {
    this.#parameters.set(id, parameter);
    return { $ref: `#/components/parameters/${id}` };
  }

  header(id: string, header: Header): Ref {
    this.#headers.set(id, header);
    return { $ref: `#/components/headers/${id}` };
  }

  toComponents(): Components {
    const { schemas } = z.toJSONSchema(this.#schemas, {
      ...options,
      uri: (id) => `#/components/schemas/${id}`,
    });
    for (const [id, schema] of Object.entries(schemas)) if (!isOfRequest(id)) open(schema);
    return {
      schemas: byName(Object.entries(schemas).map(([id, schema]) => [id, bare(schema)])),
      responses: byName([...this.#responses]),
      parameters: byName([...this.#parameters]),
      headers: byName([...this.#headers]),
    };
  }
}

/** Returns a zod schema as JSON Schema, to be written where it is used. */
export function toSchema(schema: z.ZodType): Schema {
  return bare(z.toJSONSchema(schema, options));
}

/**
 * Of a schema that transforms its input, describes the input, since that is what clients send. That also leaves
 * objects open, but for those that are strict.
 */
const options: Parameters<typeof z.toJSONSchema>[1] = {
  io: 'input',
  override: ({ jsonSchema }) => {
    // zod writes the limits of JavaScript's whole numbers where a schema has none of its own.
    if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
    // The names of properties are always strings.
    delete jsonSchema.propertyNames;
    // `maxItems` says the same, and openapi-python-client knows no schemas that are `false`.
    if (jsonSchema.items === false) delete jsonSchema.items;
    // The clients in Python of openapi-generator compare `True` with the text "true", and a parsed time with the pattern.
    if (typeof jsonSchema.const === 'boolean') delete jsonSchema.const;
    if (jsonSchema.format !== undefined) delete jsonSchema.pattern;
    if (jsonSchema.anyOf) joinForms(jsonSchema, jsonSchema.anyOf);
  },
};

function isOfRequest(id: string): boolean {
  return /^[A-Za-z]+Request(_|$)/.test(id);
}

/** Opens the strict objects of an answer, such as parts of a manifest: a later version may answer with more keys. */
function open(schema: unknown): void {
  if (typeof schema !== 'object' || schema === null) return;
  const object = schema as Record<string, unknown>;
  if (object.additionalProperties === false) delete object.additionalProperties;
  for (const each of Object.values(object)) open(each);
}

/** Several models can have the same form, and some documents have only one form, or none that is known. */
function joinForms(schema: JsonSchema, forms: readonly JsonSchema[]): void {
  const different = [...new Map(forms.map((form) => [JSON.stringify(form), form])).values()];
  if (different.length > 1) schema.anyOf = different;
  else {
    delete schema.anyOf;
    Object.assign(schema, { ...different[0], ...schema });
  }
}

/** Leaves out what a schema inside of an OpenAPI document inherits from it. */
function bare(schema: Schema): Schema {
  const { $schema: _dialect, $id: _address, ...rest } = schema;
  return rest;
}

function byName<T>(entries: readonly (readonly [string, T])[]): Record<string, T> {
  return Object.fromEntries(entries.toSorted(([one], [other]) => (one < other ? -1 : 1)));
}
