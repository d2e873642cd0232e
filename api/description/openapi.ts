// The parts of an OpenAPI 3.1 document that ours has.

export type Schema = Readonly<Record<string, unknown>>;
export type Ref = { readonly $ref: string };

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly description: string;
  readonly required?: boolean;
  readonly schema: Schema;
  readonly example?: unknown;
}

export interface Header {
  readonly description: string;
  readonly schema: Schema;
}

export interface MediaType {
  readonly schema: Schema;
  readonly example?: unknown;
}
export type Content = Readonly<Record<string, MediaType>>;

export interface Body {
  readonly required: boolean;
  readonly content: Content;
}

export interface Response {
  readonly description: string;
  readonly headers?: Readonly<Record<string, Ref>>;
  readonly content?: Content;
}
export type Responses = Readonly<Record<string, Response | Ref>>;

export interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly tags: readonly string[];
  readonly parameters?: readonly (Parameter | Ref)[];
  readonly requestBody?: Body;
  readonly responses: Responses;
  readonly security?: readonly Security[];
}
export type Security = Readonly<Record<string, readonly string[]>>;

export type PathItem = Readonly<Partial<Record<'get' | 'post' | 'delete', Operation>>>;
export type Paths = Readonly<Record<string, PathItem>>;

export interface SecurityScheme {
  readonly type: 'apiKey' | 'http';
  readonly description: string;
  readonly in?: 'header';
  readonly name?: string;
  readonly scheme?: string;
}

export interface Components {
  readonly schemas: Readonly<Record<string, Schema>>;
  readonly responses: Readonly<Record<string, Response>>;
  readonly parameters: Readonly<Record<string, Parameter>>;
  readonly headers: Readonly<Record<string, Header>>;
  readonly securitySchemes?: Readonly<Record<string, SecurityScheme>>;
}

export interface Document {
  readonly openapi: '3.1.1';
  readonly info: Readonly<Record<string, unknown>>;
  readonly servers: readonly { readonly url: string; readonly description: string }[];
  readonly security: readonly Security[];
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Paths;
  /** What the service sends by itself. */
  readonly webhooks?: Readonly<Record<string, PathItem>>;
  readonly components: Components;
}
