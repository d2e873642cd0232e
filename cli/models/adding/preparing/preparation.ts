// How the training of a network prepared its pictures, where a file says so.

import type { Section } from '../settings.js';

export interface Preparation {
  /** What says so, as the end of a sentence: `as … says`. */
  readonly by: string;
  /** The size of the training, in pixels. A network may take others as well. */
  readonly width: number | undefined;
  readonly height: number | undefined;
  /** Whether it finds things in a picture, of which it has some numbers each. */
  readonly findsThings: boolean;
  /** Why `pixels` leaves out how a picture gets its size; undefined if it does not. */
  readonly unlike: string | undefined;
  /** Makes the keys of the manifest's input that say what happens to a picture on its way to a network of this size. */
  pixels(width: number, height: number): Section;
}
