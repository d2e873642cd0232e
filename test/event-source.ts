// Follows server-sent events as a browser does, with the EventSource of undici, and notes what came.

import { EventSource } from 'undici';
import { waitUntil } from './harness.js';

export interface SeenEvent {
  /** `message`, or `position`. */
  readonly type: string;
  /** The id of the last event that had one. */
  readonly id: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into events of any form.
  readonly data: any;
}

export interface Listener {
  /** In the order in which they came. */
  readonly events: readonly SeenEvent[];
  /** The states that were told. */
  readonly states: readonly string[];
  /** How often a connection was made. */
  readonly connections: number;
  /** Whether the client has stopped for good. */
  readonly isClosed: boolean;
  /** Waits until a state was told. */
  untilTold(state: string): Promise<void>;
  /** Waits until the client has stopped for good, as at the status 204. */
  untilClosed(): Promise<void>;
  close(): void;
}

export function listen(url: string): Listener {
  const source = new EventSource(url);
  const events: SeenEvent[] = [];
  let connections = 0;
  source.onopen = () => {
    connections++;
  };
  for (const type of ['message', 'position']) {
    source.addEventListener(type, (event) => {
      const { lastEventId, data } = event as MessageEvent;
      events.push({ type, id: lastEventId, data: JSON.parse(data) });
    });
  }
  const states = () =>
    events.filter(({ type }) => type === 'message').map(({ data }) => data.state);
  return {
    events,
    get states() {
      return states();
    },
    get connections() {
      return connections;
    },
    get isClosed() {
      return source.readyState === EventSource.CLOSED;
    },
    untilTold: (state) => waitUntil(`${state} is told`, () => states().includes(state)),
    untilClosed: () =>
      waitUntil('the client has stopped', () => source.readyState === EventSource.CLOSED),
    close: () => source.close(),
  };
}
