// The same request as code to copy: for a shell, for Python without packages, and for JavaScript. Each works as it
// is pasted; a key comes from the environment variable KEY.

export interface Sent {
  /** The address of the route. */
  readonly url: string;
  readonly body:
    | { readonly type: 'json'; readonly value: unknown }
    /** JSON as somebody has typed it. */
    | { readonly type: 'typed'; readonly json: string }
    /** A file of whoever pastes it. */
    | { readonly type: 'file'; readonly name: string; readonly mediaType: string }
    /** A file that is fetched first. */
    | { readonly type: 'fetched'; readonly url: string; readonly mediaType: string };
  readonly isGuarded: boolean;
  /** Whether the answer is a job. */
  readonly isLater: boolean;
}

export interface Snippet {
  readonly language: 'curl' | 'Python' | 'JavaScript';
  readonly code: string;
}

export function snippetsOf(sent: Sent): readonly Snippet[] {
  return [
    { language: 'curl', code: writeCurl(sent) },
    { language: 'Python', code: writePython(sent) },
    { language: 'JavaScript', code: writeJavaScript(sent) },
  ];
}

function headersOf({ body, isLater }: Sent): Record<string, string> {
  const type = 'mediaType' in body ? body.mediaType : 'application/json';
  return { 'Content-Type': type, ...(isLater && { Prefer: 'respond-async' }) };
}

function writeCurl(sent: Sent): string {
  const { url, body, isGuarded } = sent;
  const lines = [
    `curl -s ${shell(url)}`,
    ...Object.entries(headersOf(sent)).map(([name, value]) => `-H ${shell(`${name}: ${value}`)}`),
    ...(isGuarded ? ['-H "Authorization: Bearer $KEY"'] : []),
  ];
  const json = jsonOf(body) ?? '';
  const isLong = json.length > argumentCharactersMax;
  if (isLong) lines.push("--data-binary @- <<'JSON'");
  else if (json !== '') lines.push(`-d ${shell(json)}`);
  else lines.push(`--data-binary ${body.type === 'file' ? shell(`@${body.name}`) : '@-'}`);
  const command = lines.join(' \\\n  ');
  if (isLong) return `${command}\n${json}\nJSON`;
  return body.type === 'fetched' ? `curl -s ${shell(body.url)} |\n${command}` : command;
}

/** The JSON of a body that is no file. */
function jsonOf(body: Sent['body']): string | undefined {
  if (body.type === 'typed') return body.json;
  return body.type === 'json' ? JSON.stringify(body.value) : undefined;
}

/** Linux takes arguments of up to 128 KiB. A character may have four bytes. */
const argumentCharactersMax = 30_000;

function shell(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function writePython(sent: Sent): string {
  const { url, body, isGuarded } = sent;
  const headers = Object.entries(headersOf(sent)).map(
    ([name, value]) => `    ${pythonText(name)}: ${pythonText(value)},`,
  );
  if (isGuarded) headers.push('    "Authorization": "Bearer " + os.environ["KEY"],');
  const modules = ['json', ...(isGuarded ? ['os'] : []), 'urllib.request'];
  return [
    `import ${modules.join(', ')}`,
    '',
    pythonBody(body),
    `request = urllib.request.Request(${pythonText(url)}, body, {`,
    ...headers,
    '})',
    'print(json.load(urllib.request.urlopen(request)))',
  ].join('\n');
}

function pythonBody(body: Sent['body']): string {
  if (body.type === 'file') return `body = open(${pythonText(body.name)}, "rb").read()`;
  if (body.type === 'fetched')
    return `body = urllib.request.urlopen(${pythonText(body.url)}).read()`;
  if (body.type === 'typed') return `body = ${pythonText(body.json)}.encode()`;
  return `body = json.dumps(${python(body.value)}).encode()`;
}

/** Writes a value of JSON as Python has it. */
function python(value: unknown): string {
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (Array.isArray(value)) return `[${value.map(python).join(', ')}]`;
  if (typeof value === 'string') return pythonText(value);
  if (typeof value !== 'object') return JSON.stringify(value);
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  return `{${entries.map(([name, each]) => `${pythonText(name)}: ${python(each)}`).join(', ')}}`;
}

/** In Python, an escape of four digits is one character, so a pair of surrogates is written as the one it stands for. */
function pythonText(text: string): string {
  return JSON.stringify(text).replace(/[\u007f-\u{10ffff}]/gu, (character) => {
    const point = (character.codePointAt(0) ?? 0).toString(16);
    return point.length > 4 ? `\\U${point.padStart(8, '0')}` : `\\u${point.padStart(4, '0')}`;
  });
}

function writeJavaScript(sent: Sent): string {
  const { url, body, isGuarded } = sent;
  const json = jsonOf(body);
  const headers = Object.entries(headersOf(sent)).map(
    ([name, value]) => `    ${quote(name)}: ${quote(value)},`,
  );
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the code of somebody else.
  if (isGuarded) headers.push('    Authorization: `Bearer ${process.env.KEY}`,');
  const call = [
    `fetch(${quote(url)}, {`,
    `  method: 'POST',`,
    '  headers: {',
    ...headers,
    '  },',
    `  body${json === undefined ? '' : `: ${body.type === 'typed' ? quote(json) : `JSON.stringify(${ascii(json)})`}`},`,
    '})',
  ].join('\n');
  // The text as it is: JavaScript rounds whole numbers beyond 2 ** 53.
  const end = '.then((response) => response.text())\n  .then((answer) => console.log(answer))';
  if (!('mediaType' in body)) return `${call}\n  ${end};`;
  const inner = call.replaceAll('\n', '\n  ');
  if (body.type === 'fetched') {
    return `fetch(${quote(body.url)})\n  .then((sample) => sample.blob())\n  .then((body) => ${inner})\n  ${end};`;
  }
  return `import('node:fs/promises')\n  .then((fs) => fs.readFile(${quote(body.name)}))\n  .then((body) => ${inner})\n  ${end};`;
}

/** A text in quotes, as JavaScript has it. */
function quote(text: string): string {
  return ascii(JSON.stringify(text));
}

function ascii(json: string): string {
  return json.replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
