// The screen of a terminal, while `top` has it: drawn over in place, and given back as it was.

import type { ReadStream, WriteStream } from 'node:tty';
import { stripVTControlCharacters } from 'node:util';
import type { Colour, Paint } from './view.js';

/** Begins each command to a terminal. */
const csi = '\u001b[';
const codes: Readonly<Record<Colour, number>> = { bold: 1, dim: 2, green: 32, red: 31, yellow: 33 };

/** Writes in colour, unless the user wants none (https://no-color.org). */
export function makePaint(hasColour: boolean): Paint {
  if (!hasColour) return (text) => text;
  return (text, colour) => `${csi}${codes[colour]}m${text}${csi}0m`;
}

export interface Screen {
  /** Draws these lines, as far as there is room. */
  draw(lines: readonly string[]): void;
  /** Gives the terminal back. It can be called twice. */
  close(): void;
}

/**
 * Takes the screen.
 * @param on.key is called with each key, and with Ctrl-C
 * @param on.resize is called when the terminal has another size
 */
export function openScreen(
  { input, output }: { input: ReadStream; output: WriteStream },
  on: { key: (key: string) => void; resize: () => void },
): Screen {
  let isOpen = true;
  const takeKeys = (data: Buffer) => {
    for (const key of data.toString()) on.key(key);
  };
  // The other screen, without a cursor. What was there before comes back at the end.
  output.write(`${csi}?1049h${csi}?25l`);
  output.on('resize', on.resize);
  if (input.isTTY) {
    input.setRawMode(true);
    input.on('data', takeKeys);
    input.resume();
  }
  return {
    draw(lines) {
      if (!isOpen) return;
      // Some terminals do not say how large they are.
      const columns = output.columns || 80;
      const rows = output.rows || 24;
      const text = lines
        .slice(0, rows)
        .map((line) => `${cut(line, columns)}${csi}0m${csi}K`)
        .join('\r\n');
      output.write(`${csi}H${text}${csi}J`);
    },
    close() {
      if (!isOpen) return;
      isOpen = false;
      output.off('resize', on.resize);
      if (input.isTTY) {
        input.off('data', takeKeys);
        input.setRawMode(false);
        input.pause();
      }
      output.write(`${csi}?25h${csi}?1049l`);
    },
  };
}

/** Cuts a line at a width. Colours take no room. */
function cut(line: string, width: number): string {
  if (stripVTControlCharacters(line).length <= width) return line;
  const [first = '', ...others] = line.split(csi);
  let room = width;
  const take = (text: string) => {
    const taken = text.slice(0, room);
    room -= taken.length;
    return taken;
  };
  const start = take(first);
  // The rest of a colour's command ends with an m.
  const painted = others.map((part) => {
    const end = part.indexOf('m') + 1;
    return csi + part.slice(0, end) + take(part.slice(end));
  });
  return start + painted.join('');
}
