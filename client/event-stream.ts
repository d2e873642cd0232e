// Reads server-sent events from the body of an answer.

export interface ServerEvent {
  /** Undefined if the event has none of its own. */
  readonly id: string | undefined;
  readonly type: string;
  readonly data: string;
}

/** The service shows every 15 seconds that it is there. A connection that is quiet for longer is lost. */
const silenceMsMax = 45_000;

/** Called for what a stream says between events. */
export interface StreamSigns {
  /** How long to wait before the next connection. */
  setPauseMs(ms: number): void;
  /** A comment has come. The service sends them to show that it is there. */
  onComment(): void;
}

const lineEnd = /\r\n|\n|\r/;
/** The end of a line, and an empty line. */
const blockEnd = /(?:\r\n|\n|\r(?!\n)){2}/;

/**
 * Yields events until the body ends, the connection is lost, nothing comes for long, or the signal aborts. Ends the
 * connection when the caller stops.
 */
export async function* readEventStream(
  body: ReadableStream<Uint8Array>,
  signs: StreamSigns,
  signal: AbortSignal,
): AsyncGenerator<ServerEvent, void> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  const stop = () => void reader.cancel().catch(() => {});
  // Node's fetch never ends a body whose gzip is damaged.
  signal.addEventListener('abort', stop, { once: true });
  let rest = '';
  try {
    for (;;) {
      const chunk = await readWithin(reader, silenceMsMax);
      if (!chunk) return;
      const blocks = (rest + decoder.decode(chunk, { stream: true })).split(blockEnd);
      rest = blocks.pop() ?? '';
      for (const block of blocks) {
        const event = readEvent(block, signs);
        if (event) yield event;
      }
    }
  } finally {
    signal.removeEventListener('abort', stop);
    await reader.cancel().catch(() => {});
  }
}

/** Returns the next chunk; undefined if there is none, or none comes in time. */
async function readWithin(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  ms: number,
): Promise<Uint8Array | undefined> {
  const timer = setTimeout(() => void reader.cancel().catch(() => {}), ms);
  try {
    const { value } = await reader.read();
    return value;
  } finally {
    clearTimeout(timer);
  }
}

function readEvent(block: string, signs: StreamSigns): ServerEvent | undefined {
  let id: string | undefined;
  let type = 'message';
  const data: string[] = [];
  for (const line of block.split(lineEnd)) {
    // A value may hold what `.` takes for the end of a line, such as U+2028.
    const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (line.startsWith(':')) signs.onComment();
    else if (name === 'id') id = value;
    else if (name === 'event') type = value;
    else if (name === 'data') data.push(value);
    else if (name === 'retry' && /^\d{1,9}$/.test(value)) signs.setPauseMs(Number(value));
  }
  return data.length === 0 ? undefined : { id, type, data: data.join('\n') };
}
