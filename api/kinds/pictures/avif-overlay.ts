// AVIFs that lay pictures over each other. Each layer is decoded anew, also where all are the same one, so a file of
// a kilobyte with five layers takes five times the processor time that its pixels are worth: at 50 megapixels,
// 5.4 s with four. No camera and no exporter that we know writes them.

/** Where the type of an item is, counted from its `infe`: in version 2 of the entry, and in version 3. */
const typeOffsets = [12, 14];

/** Whether a file lists an item of the type `iovl`. */
export function hasOverlay(bytes: Buffer): boolean {
  for (let at = bytes.indexOf('iovl'); at >= 0; at = bytes.indexOf('iovl', at + 4)) {
    const isItem = typeOffsets.some(
      (offset) => at >= offset && bytes.toString('latin1', at - offset, at - offset + 4) === 'infe',
    );
    if (isItem) return true;
  }
  return false;
}
