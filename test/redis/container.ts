// A Redis in a container, by testcontainers. Its data stays in the container, which ends and starts
// again with it.

import process from 'node:process';
import { GenericContainer, getContainerRuntimeClient, Wait } from 'testcontainers';
import { inject } from 'vitest';
import { redisImage, runLabel } from './choice.js';
import type { MakeTestServer } from './server.js';

// Tests remove their containers, and test/redis/choice.ts what they left. So no other container has
// to watch over that, whose image would have to be fetched.
process.env.TESTCONTAINERS_RYUK_DISABLED ??= 'true';

export const makeContainer =
  (image = redisImage): MakeTestServer =>
  ({ port, parameters }) => {
    let id: string | undefined;
    // testcontainers ends a container only once, and never with SIGKILL at once.
    const find = async (id: string) => (await getContainerRuntimeClient()).container.getById(id);
    return {
      async start() {
        if (id !== undefined) return (await find(id)).start();
        const container = await new GenericContainer(image)
          .withLabels({ [runLabel]: inject('run') })
          // Options alone are for the server of the image, whatever its name is.
          .withCommand([...parameters])
          // A restart would move it to another port, were this one not fixed.
          .withExposedPorts({ container: 6379, host: port })
          .withWaitStrategy(Wait.forLogMessage('Ready to accept connections'))
          .start();
        id = container.getId();
      },
      async stop(signal) {
        if (id === undefined) return;
        const container = await find(id);
        const { State: state } = await container.inspect();
        if (!state.Running) return;
        const ended = container.wait();
        await container.kill({ signal });
        await ended;
      },
      async signal(signal) {
        if (id !== undefined) await (await find(id)).kill({ signal });
      },
      async empty() {
        if (id === undefined) return;
        await (await find(id)).remove({ force: true, v: true });
        id = undefined;
      },
    };
  };
