// A TCP proxy that can be cut. It simulates a failing network between two programs.

import { connect, createServer, type Server, type Socket } from 'node:net';
import { findFreePort } from '../cli/redis/redis.js';
import type { Cut } from './schedule.js';

export interface CuttableProxy {
  readonly port: number;
  /**
   * Cuts every connection. Call the returned function to mend the network.
   * - `refuse`: the connections end, and new ones are refused.
   * - `freeze`: no byte passes, as if packets vanish. After mending, the held bytes arrive late.
   * - `freeze-and-drop`: no byte passes. After mending, the connections end.
   */
  cut(how: Cut): Promise<() => Promise<void>>;
  /**
   * Lets no more bytes pass on one connection, and tells neither end, as if the other one had vanished.
   * @param port that of the connection, as the program at the far port sees it
   */
  lose(port: number): void;
  close(): Promise<void>;
}

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  isLost: boolean;
}

/**
 * Opens a proxy on a free port of 127.0.0.1 to another port there.
 * @param onConnection is called at once for each connection that comes
 */
export async function openProxy(
  farPort: number,
  onConnection: () => void = () => {},
): Promise<CuttableProxy> {
  const pairs = new Set<Pair>();
  let isFrozen = false;
  let server: Server | undefined;

  const accept = (near: Socket) => {
    const far = connect({ port: farPort, host: '127.0.0.1', noDelay: true });
    near.setNoDelay(true);
    const pair = { near, far, isLost: false };
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) socket.on('error', end).on('close', end);
    if (isFrozen) freeze(pair);
    else thaw(pair);
    onConnection();
  };

  const dropAll = () => {
    for (const { near } of [...pairs]) near.destroy();
  };

  const listen = async (port: number) => {
    const listening = createServer(accept);
    await new Promise<void>((resolve, reject) => {
      listening.once('error', reject);
      listening.listen(port, '127.0.0.1', resolve);
    });
    server = listening;
  };

  const port = await findFreePort();
  await listen(port);

  return {
    port,
    async cut(how) {
      if (how === 'refuse') {
        server?.close();
        dropAll();
        return () => listen(port);
      }
      isFrozen = true;
      for (const pair of pairs) freeze(pair);
      return async () => {
        isFrozen = false;
        if (how === 'freeze-and-drop') dropAll();
        for (const pair of pairs) thaw(pair);
      };
    },
    lose(port) {
      for (const pair of pairs) {
        if (pair.far.localPort !== port) continue;
        pair.isLost = true;
        freeze(pair);
      }
    },
    async close() {
      server?.close();
      dropAll();
    },
  };
}

function freeze({ near, far }: Pair): void {
  near.unpipe(far).pause();
  far.unpipe(near).pause();
}

function thaw({ near, far, isLost }: Pair): void {
  if (isLost) return;
  near.pipe(far);
  far.pipe(near);
}
