// The keys of a JSON Schema as rows of a table: key, values, default, meaning.
//
// A map that comes again, such as a file with its size and checksum, is written once. Later rows refer to it.

/** The part of JSON Schema that the manifest and the description of the service use. */
export interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly items?: Schema | false;
  readonly prefixItems?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly required?: readonly string[];
  readonly default?: unknown;
  readonly description?: string;
  readonly format?: string;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
}

export interface Rows {
  /** Returns the table of a map's keys. `prefix` stands before each. */
  readonly table: (schema: Schema, prefix: string) => string;
  /** Returns a list of the keys of each kind, all of which are in tables before. */
  readonly kinds: (variants: readonly Schema[], prefix: string) => string;
}

/** Returns the forms that a value can have; itself if it has one. */
export function variantsOf(schema: Schema): readonly Schema[] {
  return schema.oneOf ?? schema.anyOf ?? [schema];
}

export function makeKeyRows(): Rows {
  /** The map that a key was written for, by the key and its schema. */
  const written = new Map<string, string>();

  /** Returns the map whose keys a map has, if all of them are written. */
  function placeOf(map: Schema): string | undefined {
    const places = keysOf(map).map((entry) => written.get(JSON.stringify(entry)));
    const [first] = places;
    return places.every((place) => place !== undefined) ? first : undefined;
  }

  function* rowsOf(map: Schema, prefix: string): Generator<string> {
    const { kind } = map.properties ?? {};
    if (kind)
      yield `| \`${prefix}kind\` | ${valuesOf(kind)} | **required** | Decides which other keys there are. |`;
    for (const [key, field] of keysOf(map)) {
      written.set(JSON.stringify([key, field]), prefix.replace(/\.$/, ''));
      yield* rowsOfKey(`${prefix}${key}`, field, defaultOf(map, key));
    }
  }

  function* rowsOfKey(key: string, field: Schema, otherwise: string): Generator<string> {
    const { description } = field;
    if (!description) throw new Error(`Expected a description of ${key} in the manifest`);
    const inner = innerMap(field);
    const place = inner && placeOf(inner);
    const names = place && keysOf(inner).map(([name]) => `\`${name}\``);
    const values = names
      ? `${valuesOf(field)} with ${names.join(', ')} as in \`${place}\``
      : valuesOf(field);
    yield `| \`${key}\` | ${values} | ${otherwise} | ${description} |`;
    if (inner && !place) yield* rowsOf(inner, `${key}${field.type === 'array' ? '[]' : ''}.`);
  }

  return {
    table: (map, prefix) =>
      `| key | values | default | what it says |\n|---|---|---|---|\n${[...rowsOf(map, prefix)].join('\n')}\n`,
    kinds: (variants, prefix) =>
      variants
        .map((variant) => {
          const place = placeOf(variant);
          if (place === undefined) throw new Error(`Expected the keys of ${prefix} before`);
          const keys = keysOf(variant).map(([key]) => `\`${prefix}${key}\``);
          const kind = variant.properties?.kind?.const;
          return `- \`kind: ${kind}\`: ${keys.join(', ')}, as in \`${place}\`.\n`;
        })
        .join(''),
  };
}

/** Returns the keys of a map, without those that choose among its forms. */
function keysOf({ properties = {} }: Schema): [string, Schema][] {
  const isForm = (key: string, field: Schema) =>
    key === 'kind' || (key === 'engine' && field.const !== undefined);
  return Object.entries(properties).filter(([key, field]) => !isForm(key, field));
}

/** Returns the map that a value is, or that the entries of a list are. Forms of a map are merged. */
function innerMap(field: Schema): Schema | undefined {
  if (field.type === 'array') return field.items ? innerMap(field.items) : undefined;
  const variants = variantsOf(field);
  return variants.every(({ properties }) => properties !== undefined) ? merge(variants) : undefined;
}

function merge(variants: readonly Schema[]): Schema {
  const names = [...new Set(variants.flatMap((each) => Object.keys(each.properties ?? {})))];
  const properties = names.map((name) => {
    const forms = variants.map((each) => each.properties?.[name] ?? {});
    const different = forms.filter(
      (form, at) => forms.findIndex((other) => isEqual(form, other)) === at,
    );
    const [first = {}] = different;
    const { description } = first;
    return [name, different.length === 1 ? first : { description, anyOf: different }];
  });
  const [{ required = [] } = {}] = variants;
  return { type: 'object', properties: Object.fromEntries(properties), required };
}

function isEqual(one: Schema, other: Schema): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function defaultOf(map: Schema, key: string): string {
  const ofMap = map.default as Readonly<Record<string, unknown>> | undefined;
  const value = ofMap?.[key] ?? map.properties?.[key]?.default;
  if (value !== undefined && !isEmpty(value)) return `\`${format(value)}\``;
  return map.required?.includes(key) ? '**required**' : 'none';
}

function isEmpty(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

function format(value: unknown): string {
  return Array.isArray(value) ? `[${value.join(', ')}]` : String(value);
}

function valuesOf(schema: Schema): string {
  // Nothing else refers to itself.
  if (schema.$ref !== undefined) return 'JSON';
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (schema.enum) return schema.enum.map((value) => `\`${value}\``).join(', ');
  const variants = variantsOf(schema);
  if (variants.length > 1) return [...new Set(variants.map(valuesOf))].join(' or ');
  if (schema.type === 'array') return listOf(schema);
  if (schema.type === 'object') return 'map';
  if (schema.type === 'boolean') return '`true`, `false`';
  if (schema.type === 'string') return textOf(schema);
  if (schema.type === 'integer') return `whole number${boundsOf(schema)}`;
  return schema.type === 'number' ? `number${boundsOf(schema)}` : 'numbers or texts';
}

function textOf({ format: form, maxLength }: Schema): string {
  if (form === 'uri') return 'address';
  return maxLength === undefined ? 'text' : `text of at most ${maxLength} characters`;
}

function listOf({ items, prefixItems, minItems, maxItems }: Schema): string {
  const [first] = prefixItems ?? [items || {}];
  const each = valuesOf(first ?? {})
    .replace(/^address$/, 'addresses')
    .replace(/^JSON$/, 'values of JSON')
    .replace(/^(whole number|number|text|map)\b/, '$1s');
  if (prefixItems) return `list of ${prefixItems.length} ${each}`;
  if (maxItems === undefined) return `list of ${each}`;
  return `list of ${minItems === undefined ? 'up' : minItems} to ${maxItems} ${each}`;
}

function boundsOf({ minimum, exclusiveMinimum, maximum, type }: Schema): string {
  // Whole numbers have at most these bounds, which nobody meets.
  const low = minimum === Number.MIN_SAFE_INTEGER ? undefined : minimum;
  const high = maximum === Number.MAX_SAFE_INTEGER ? undefined : rounded(maximum);
  const above = type === 'integer' && exclusiveMinimum === 0 ? undefined : exclusiveMinimum;
  const from = low ?? (type === 'integer' && exclusiveMinimum === 0 ? 1 : undefined);
  if (above !== undefined) return ` above ${above}${high === undefined ? '' : `, at most ${high}`}`;
  if (from !== undefined && high !== undefined) return ` from ${from} to ${high}`;
  if (high !== undefined) return `, at most ${high}`;
  return from === undefined ? '' : `, at least ${from}`;
}

/** 0.99999 * 100 is not quite 99.999. */
function rounded(number: number | undefined): number | undefined {
  return number === undefined ? undefined : Number(number.toPrecision(15));
}
