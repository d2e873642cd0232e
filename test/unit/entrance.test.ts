import { expect, onTestFinished, test, vi } from 'vitest';
import { askAgainMs, Entrance } from '../../api/several-inputs/entrance.js';

/** Makes the entrance of a room of some places. What does not fit is refused until it gives up. */
function makeRoom(places: number) {
  const entrance = new Entrance();
  const room = { places, tried: 0 };
  const full = new Error('full');
  const enter = (name: string) => () => {
    room.tried++;
    if (room.places === 0) throw full;
    room.places--;
    return name;
  };
  const wait = (line: string, name: string, hasGivenUp = () => false) =>
    entrance.wait(line, enter(name), (thrown) => (hasGivenUp() ? thrown : undefined));
  const leave = (line: string) => {
    room.places++;
    entrance.advance(line);
  };
  return { room, wait, leave, full };
}

test('who has waited longest is let in first, and not who asks in the moment of the room', async () => {
  const { wait, leave } = makeRoom(1);
  expect(await wait('a', 'fast 1')).toBe('fast 1');
  const order: string[] = [];
  const note = (entered: Promise<string>) => entered.then((name) => order.push(name));
  const slow = note(wait('a', 'slow'));
  leave('a');
  const again = note(wait('a', 'fast 2'));
  await slow;
  leave('a');
  await again;
  expect(order).toEqual(['slow', 'fast 2']);
});

test('room for a model is no reason to ask for all that wait for it', async () => {
  const { room, wait, leave } = makeRoom(0);
  const waiting = Array.from({ length: 100 }, (_, at) => wait('a', `${at}`));
  room.tried = 0;
  leave('a');
  expect(await waiting[0]).toBe('0');
  expect(room.tried).toBe(2);
  const other = wait('b', 'other');
  leave('b');
  expect(await other).toBe('other');
});

test('an input that gives up leaves, and one behind it may have more time', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const { room, wait, full } = makeRoom(0);
  let isOver = false;
  const short = wait('a', 'short', () => isOver);
  const long = wait('a', 'long');
  isOver = true;
  const refused = expect(short).rejects.toBe(full);
  await vi.advanceTimersByTimeAsync(askAgainMs);
  await refused;
  room.places = 1;
  await vi.advanceTimersByTimeAsync(askAgainMs);
  expect(await long).toBe('long');
  expect(vi.getTimerCount()).toBe(0);
});
