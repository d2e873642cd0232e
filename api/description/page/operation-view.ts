// Shows the operations of the description.

import { type Child, type Html, html, inline, prose } from '../../pages/html.js';
import type { Document, MediaType, Operation, Parameter, Ref, Response } from '../openapi.js';
import { lastOf, type SchemaView } from './schema-view.js';

/** Operations that differ only in their address, such as those of a model with and without its version. */
export interface OperationGroup {
  readonly method: string;
  readonly paths: readonly string[];
  readonly operation: Operation;
}

/** Groups the operations of a tag. */
export function groupsOf({ paths }: Document, tag: string): OperationGroup[] {
  const groups = new Map<string, OperationGroup>();
  for (const [path, item] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(item)) {
      if (!operation.tags.includes(tag)) continue;
      const key = `${method} ${operation.summary}`;
      const known = groups.get(key);
      if (known) groups.set(key, { ...known, paths: [...known.paths, path] });
      else groups.set(key, { method, paths: [path], operation });
    }
  }
  return [...groups.values()];
}

export class OperationView {
  readonly #document: Document;
  readonly #schemas: SchemaView;

  constructor(document: Document, schemas: SchemaView) {
    this.#document = document;
    this.#schemas = schemas;
  }

  show({ method, paths: [path = '', ...others], operation }: OperationGroup): Html {
    const { summary, description, operationId, security } = operation;
    return html`<details class="operation">
<summary><span class="method ${method}">${method.toUpperCase()}</span> <code class="path">${breakable(path)}</code> <span class="summary">${summary}</span></summary>
<div id="${operationId}">
${description === undefined ? undefined : prose(description)}
${others.map((other) => html`<p class="also">Also at <code>${other}</code></p>`)}
${security?.length === 0 && this.#document.security.length > 0 ? html`<p class="also">Needs no key or token.</p>` : undefined}
${this.#parameters(operation)}
${this.#body(method, path, operation)}
${this.#responses(operation)}
</div>
</details>`;
  }

  #parameters({ parameters = [] }: Operation): Child {
    if (parameters.length === 0) return undefined;
    const rows = parameters.map((given) => {
      const { name, schema, description, required, in: place } = this.#parameter(given);
      return html`<li><code class="name">${name}</code> <span class="type">${place}, ${this.#schemas.label(schema)}</span>${required ? undefined : html` <span class="optional">optional</span>`}<div class="about">${inline(description)}</div></li>`;
    });
    return html`<h4>Parameters</h4><ul class="fields">${rows}</ul>`;
  }

  #parameter(given: Parameter | Ref): Parameter {
    if (!('$ref' in given)) return given;
    return this.#document.components.parameters[lastOf(given.$ref)] as Parameter;
  }

  #body(method: string, path: string, { requestBody }: Operation): Child {
    if (!requestBody) {
      return method === 'get' && !path.includes('{')
        ? html`<pre class="example"><code>curl $URL${path}</code></pre>`
        : undefined;
    }
    const [[type, first] = ['', undefined], ...others] = Object.entries(requestBody.content);
    if (!first) return undefined;
    const more = others.map(([other], at) => html`${at === 0 ? '' : ', '}<code>${other}</code>`);
    return html`<h4>Request${requestBody.required ? '' : ', if there is a body'}: <code>${type}</code></h4>
${this.#schemas.show(first.schema)}
${more.length === 0 ? undefined : html`<p class="also">Or as ${more}</p>`}
${exampleOf(path, type, first)}`;
  }

  #responses({ responses }: Operation): Html {
    const rows = Object.entries(responses).map(([status, given]) => {
      const { description, content = {} } = this.#response(given);
      const [[type, first] = ['', undefined]] = Object.entries(content);
      const isError = Number(status) >= 400;
      const types = Object.keys(content).map(
        (each, at) => html`${at === 0 ? '' : ', '}<code>${each}</code>`,
      );
      const detail =
        isError || type === 'text/html' ? undefined : first && this.#schemas.show(first.schema);
      return html`<li><span class="status s${status.charAt(0)}">${status}</span><div>${prose(description)}${isError ? undefined : html`<p class="also">${types}</p>`}${detail}</div></li>`;
    });
    return html`<h4>Answers</h4><ul class="answers">${rows}</ul>`;
  }

  #response(given: Response | Ref): Response {
    if (!('$ref' in given)) return given;
    return this.#document.components.responses[lastOf(given.$ref)] as Response;
  }
}

function exampleOf(path: string, type: string, { example }: MediaType): Child {
  if (example === undefined) return undefined;
  const body = (typeof example === 'string' ? example : JSON.stringify(example)).replaceAll(
    "'",
    "'\\''",
  );
  return html`<pre class="example"><code>curl $URL${path} \\
  -H 'Content-Type: ${type}' \\
  -d '${body}'</code></pre>`;
}

/** Long paths may be broken behind a slash. */
function breakable(path: string): Child[] {
  return path.split('/').map((part, at) => (at === 0 ? part : html`/<wbr>${part}`));
}
