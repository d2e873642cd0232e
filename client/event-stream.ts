// Reads server-sent events from the body of an answer.

export interface ServerEvent {
  /** Undefined if the event has none of its own. */
  readonly id: string | undefined;
  readonly type: string;
  readonly data: string;
}

/** The service shows every 15 seconds that it is there. A connection that is quiet for longer is lost. */
const silenceMsMax = 45_000;

/**
 * Yields events until the body ends, the connection is lost, or nothing comes for long. Ends the connection when the
 * caller stops.
 * @param setPauseMs is told how long to wait before the next connection
 */
export async function* readEventStream(
  body: ReadableStream<Uint8Array>,
  setPauseMs: (ms: number) => void,
): AsyncGenerator<ServerEvent, void> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  let rest = '';
  try {
    for (;;) {
      const chunk = await readWithin(reader, silenceMsMax);
      if (!chunk) return;
      const blocks = (rest + decoder.decode(chunk, { stream: true })).split(/\r?\n\r?\n/);
      rest = blocks.pop() ?? '';
      for (const block of blocks) {
        const event = readEvent(block, setPauseMs);
        if (event) yield event;
      }
    }
  } finally {
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

function readEvent(block: string, setPauseMs: (ms: number) => void): ServerEvent | undefined {
  let id: string | undefined;
  let type = 'message';
  const data: string[] = [];
  for (const line of block.split(/\r?\n/)) {
    const [, name, value = ''] = /^([^:]*)(?:: ?(.*))?$/.exec(line) ?? [];
    if (name === 'id') id = value;
    else if (name === 'event') type = value;
    else if (name === 'data') data.push(value);
    else if (name === 'retry' && /^\d{1,9}$/.test(value)) setPauseMs(Number(value));
  }
  return data.length === 0 ? undefined : { id, type, data: data.join('\n') };
}
