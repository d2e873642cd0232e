import { crc32, gzipSync } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';
import { describe, expect, it } from 'vitest';
import { Ending } from '../../api/call/ending.js';
import { decodesAtATime, makeImageKind } from '../../api/kinds/image.js';
import { readJpegHeader } from '../../api/kinds/pictures/jpeg-header.js';
import type { ScorelineError } from '../../shared/errors.js';
import { errorOf, rejectionOf } from '../unit/sample-model.js';
import {
  difference,
  photograph,
  photographs,
  pngHeader,
  preprocessedPixels,
  readEfficientNet,
  toPixels,
} from './photographs.js';

const model = readEfficientNet();
const { input } = model.manifest;
const pixelsMax = 50_000_000;
const kind = makeImageKind({ imagePixelsMax: pixelsMax, imagesMax: 3, threads: 4 });
const ending = new Ending();

/** sharp and Pillow round differently: measured by 0.10 to 0.24 on average, and by up to 7. */
const closeMean = 0.6;
const closeMax = 16;

type Colour = readonly number[];

const colours: readonly Colour[] = [
  [200, 40, 90],
  [30, 160, 60],
  [40, 70, 210],
  [230, 220, 40],
];
/** Colours that CMYK inks can print. */
const inks: readonly Colour[] = [
  [180, 60, 80],
  [60, 140, 80],
  [60, 80, 140],
  [200, 180, 70],
];
const greys: readonly Colour[] = [[20], [90], [160], [240]];

describe('the pixels of an image', () => {
  const pictures: [what: string, make: () => Promise<Buffer>, expected: readonly Colour[]][] = [
    ['a PNG', () => quarters(colours).png().toBuffer(), colours],
    ['a PNG with a palette', () => quarters(colours).png({ palette: true }).toBuffer(), colours],
    ['a PNG of 16 bits', () => quarters(colours, 'ushort').png().toBuffer(), colours],
    ['a grey PNG', () => quarters(greys).toColourspace('b-w').png().toBuffer(), spread(greys)],
    [
      'a grey PNG of 16 bits',
      () => quarters(greys, 'ushort').toColourspace('grey16').png().toBuffer(),
      spread(greys),
    ],
    ['a grey JPEG', () => jpeg(quarters(greys).toColourspace('b-w')), spread(greys)],
    ['a JPEG', () => jpeg(quarters(colours)), colours],
    ['a progressive JPEG', () => jpeg(quarters(colours), { progressive: true }), colours],
    ['a GIF', () => quarters(colours).gif().toBuffer(), colours],
    ['a WebP', () => quarters(colours).webp({ lossless: true }).toBuffer(), colours],
    ['a TIFF', () => quarters(colours).tiff({ compression: 'lzw' }).toBuffer(), colours],
    [
      'a TIFF of 16 bits',
      () => quarters(colours, 'ushort').tiff({ compression: 'none' }).toBuffer(),
      colours,
    ],
    ['an AVIF', () => quarters(colours).avif({ lossless: true, effort: 0 }).toBuffer(), colours],
    [
      'an AVIF of 10 bits',
      () => quarters(colours).avif({ lossless: true, effort: 0, bitdepth: 10 }).toBuffer(),
      colours,
    ],
  ];
  it.each(pictures)('of %s have the right colours in place', async (_what, make, expected) => {
    const pixels = await toPixels(await make(), input);
    expectQuarters(pixels, expected, 3);
  });

  it.each([
    ['without a profile', (picture: Sharp) => picture],
    ['with a profile', (picture: Sharp) => picture.withIccProfile('cmyk')],
  ])('of a CMYK JPEG %s have nearly the right colours', async (_what, finish) => {
    const file = await jpeg(finish(quarters(inks).toColourspace('cmyk')));
    const { space, channels } = await sharp(file).metadata();
    expect({ space, channels }).toEqual({ space: 'cmyk', channels: 4 });
    expectQuarters(await toPixels(file, input), inks, 30);
  });

  it('show transparent parts on white, and mix in white where half transparent', async () => {
    const half = colours.map((colour, at) => [...colour, [0, 128, 255, 128][at] as number]);
    const expected = half.map(([r, g, b, alpha]) =>
      [r, g, b].map((value) => over(value as number, alpha as number)),
    );
    const files = await Promise.all([
      quarters(half).png().toBuffer(),
      quarters(half).webp({ lossless: true }).toBuffer(),
      quarters(half, 'ushort').png().toBuffer(),
      quarters(half).tiff({ compression: 'none' }).toBuffer(),
    ]);
    for (const file of files) {
      expectQuarters(await toPixels(file, input), expected, 3);
    }
  });

  it('of a grey picture show its transparent parts on white', async () => {
    const half = greys.map(([grey], at) => [grey as number, [0, 128, 255, 128][at] as number]);
    const file = await quarters(half).toColourspace('b-w').png().toBuffer();
    expect((await sharp(file).metadata()).channels).toBe(2);
    const expected = half.map(([grey, alpha]) => [over(grey as number, alpha as number)]);
    expectQuarters(await toPixels(file, input), spread(expected), 3);
  });

  it.each(['gif', 'webp'] as const)(
    'of an animated %s are those of its first frame',
    async (format) => {
      const frames = await Promise.all(
        [colours, [...colours].reverse()].map((frame) => quarters(frame).png().toBuffer()),
      );
      const animation = sharp(frames, { join: { animated: true } });
      const file =
        format === 'gif'
          ? await animation.gif().toBuffer()
          : await animation.webp({ lossless: true }).toBuffer();
      expect((await sharp(file).metadata()).pages).toBe(2);
      expectQuarters(await toPixels(file, input), colours, 3);
    },
  );

  it('are the same in all eight EXIF orientations', async () => {
    const upright = await rawPhotograph('chelsea.png', { width: 301, height: 270 });
    const expected = await toPixels(await encode(upright).png().toBuffer(), input);
    for (const orientation of [1, 2, 3, 4, 5, 6, 7, 8]) {
      const stored = storeWithOrientation(upright, orientation);
      const picture = encode(stored).withMetadata({ orientation });
      const lossless = await picture.clone().webp({ lossless: true }).toBuffer();
      expect((await sharp(lossless).metadata()).orientation).toBe(orientation);
      const same = (await toPixels(lossless, input)).equals(expected);
      expect(same, `the same with orientation ${orientation}`).toBe(true);
      const apart = difference(await toPixels(await jpeg(picture), input), expected);
      expect(apart.mean, `JPEG with orientation ${orientation}`).toBeLessThan(1);
    }
  });

  it.each(photographs)('of %s are close to those made by Pillow', async (name) => {
    const pixels = await toPixels(photograph(name), input);
    const apart = difference(pixels, await preprocessedPixels(name));
    expect(apart.mean).toBeLessThan(closeMean);
    expect(apart.max).toBeLessThan(closeMax);
  });
});

describe('an image that cannot be used', () => {
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="300"><rect width="300" height="300" fill="red"/></svg>';
  const namespaced = svg.replaceAll(/<(\/?)(svg|rect)/g, '<$1s:$2').replace('xmlns=', 'xmlns:s=');
  const jpegFile = photograph('china.jpg');
  const pngFile = photograph('chelsea.png');

  it.each([
    ['an empty file', Buffer.alloc(0), 'image_unreadable'],
    ['a text', Buffer.from('This is a text and no image.'), 'image_unreadable'],
    ['a JPEG of its first 20 bytes', jpegFile.subarray(0, 20), 'image_unreadable'],
    ['a JPEG cut off in its header', jpegFile.subarray(0, 300), 'image_unreadable'],
    ['a JPEG cut off in the middle', jpegFile.subarray(0, 100_000), 'image_unreadable'],
    ['a PNG of its first 20 bytes', pngFile.subarray(0, 20), 'image_unreadable'],
    ['a PNG cut off in its header', pngFile.subarray(0, 30), 'image_unreadable'],
    ['a PNG cut off in the middle', pngFile.subarray(0, 120_000), 'image_unreadable'],
    ['an SVG', Buffer.from(svg), 'image_unsupported'],
    ['an SVG with a byte order mark', Buffer.from(`\uFEFF${svg}`), 'image_unsupported'],
    ['an SVG with an XML prolog', Buffer.from(`<?xml version="1.0"?>${svg}`), 'image_unsupported'],
    [
      'an SVG after a comment',
      Buffer.from(`<!-- ${'x'.repeat(2000)} -->${svg}`),
      'image_unsupported',
    ],
    ['an SVG after many blanks', Buffer.from(`${' '.repeat(2000)}${svg}`), 'image_unreadable'],
    ['an SVG with a namespace', Buffer.from(namespaced), 'image_unreadable'],
    ['an SVG in UTF-16', Buffer.from(`\uFEFF${svg}`, 'utf16le'), 'image_unreadable'],
    ['a compressed SVG', gzipSync(svg), 'image_unsupported'],
    ['an HTML page', Buffer.from('<!DOCTYPE html><p>Not found'), 'image_unsupported'],
    ['a PNG that claims 60000 × 60000', pngHeader(60_000, 60_000), 'image_too_large'],
    ['a PNG that claims 7072 × 7071', pngHeader(7072, 7071), 'image_too_large'],
  ])('is refused: %s', async (_what, value, code) => {
    await expectRefused(kind.prepare({ name: undefined, value }, model, ending), code);
    const error = await expectRefused(kind.prepare({ name: 'a cat', value }, model, ending), code);
    expect(error.message).toContain('"a cat"');
  });

  it('is refused with one pixel over the limit, and accepted at the limit', async () => {
    const value = await encode(await rawPhotograph('chelsea.png', { width: 301, height: 299 }))
      .png()
      .toBuffer();
    const limited = (imagePixelsMax: number) =>
      makeImageKind({ imagePixelsMax, imagesMax: 1, threads: 4 }).prepare(
        { name: undefined, value },
        model,
        ending,
      );
    await expect(limited(301 * 299)).resolves.toMatchObject([
      { datatype: 'UINT8', shape: [1, 224, 224, 3], data: { byteLength: 224 * 224 * 3 } },
    ]);
    const error = await expectRefused(limited(301 * 299 - 1), 'image_too_large');
    expect(error.message).toContain(String(301 * 299 - 1));
  });
});

describe('an intact image in a format that is not accepted', () => {
  const expectNamed = async (value: Buffer, name: string) => {
    const refused = kind.prepare({ name: 'a cat', value }, model, ending);
    const error = await expectRefused(refused, 'image_unsupported');
    expect(error.message).toContain(`"a cat"`);
    expect(error.message).toContain(`got ${name}.`);
  };

  it('is named when it is HEIC', async () => {
    const avif = await quarters(colours).avif({ effort: 0 }).toBuffer();
    // The same container, with the names of the other codec.
    const heic = avif.toString('latin1').replaceAll('avif', 'heic').replaceAll('av01', 'hvc1');
    await expectNamed(Buffer.from(heic, 'latin1'), 'HEIC');
  });

  it.each([
    [6, 'a TIFF with old-style JPEG compression'],
    [34712, 'a TIFF with JPEG 2000 compression'],
    [34925, 'a TIFF with LZMA compression'],
    [50000, 'a TIFF with Zstandard compression'],
  ])('is named when it is a TIFF with compression %i', async (compression, name) => {
    const file = await quarters(colours).tiff({ compression: 'lzw' }).toBuffer();
    setTiffTag(file, 259, compression);
    await expectNamed(file, name);
  });

  it.each([
    ['a TIFF of YCbCr colours without JPEG compression', 262, 6],
    ['a TIFF of signed or floating-point samples', 339, 2],
    ['a TIFF of 32 bits a sample', 258, 32],
  ])('is named when it is %s', async (name, tag, value) => {
    const grey = await quarters(greys)
      .toColourspace('b-w')
      .tiff({ compression: 'none' })
      .toBuffer();
    setTiffTag(grey, tag, value);
    await expectNamed(grey, name);
    const big = await quarters(greys)
      .toColourspace('b-w')
      .tiff({ compression: 'none', bigtiff: true })
      .toBuffer();
    setBigTiffTag(big, tag, value);
    await expectNamed(big, name);
  });

  it.each([['a colour', colours] as const, ['grey', greys] as const])(
    'is named when it is a TIFF whose sample beyond %s is not said to be transparency',
    async (what, values) => {
      const half = values.map((value) => [...value, 0]);
      const space = what === 'grey' ? 'b-w' : 'srgb';
      const file = await quarters(half)
        .toColourspace(space)
        .tiff({ compression: 'none' })
        .toBuffer();
      const name = 'a TIFF with a sample that is neither a colour nor said to be transparency';
      await toPixels(file, input);
      setTiffTag(file, 338, 0);
      await expectNamed(file, name);
    },
  );

  it('is named when it is an animated AVIF', async () => {
    const avif = await quarters(colours).avif({ effort: 0 }).toBuffer();
    avif.write('avis', 8);
    await expectNamed(avif.subarray(0, 300), 'an animated AVIF');
  });

  it.each([
    ['lossless', { at: 1, value: 0xc3 }, 'a lossless JPEG'],
    ['of 12 bits', { at: 4, value: 12 }, 'a JPEG of 12 bits'],
  ])('is named when it is a JPEG that is %s', async (_what, { at, value }, name) => {
    const file = photograph('china.jpg');
    file[file.indexOf(Buffer.from([0xff, 0xc0])) + at] = value;
    await expectNamed(file, name);
  });
});

describe('the images that are decoded at a time', () => {
  it.each([
    [1, 4],
    [2, 4],
    [8, 4],
    [8, 10],
    [64, 66],
  ])('leave room on %i cores with %i threads', (cores, threads) => {
    const { max, slowMax } = decodesAtATime(cores, threads);
    expect(max).toBeLessThan(threads);
    expect(max).toBeLessThanOrEqual(Math.max(2, cores));
    expect(slowMax).toBeGreaterThan(0);
    expect(slowMax).toBeLessThan(max);
  });
});

describe('a damaged image', () => {
  const overwrite = (file: Buffer, byte: number) => {
    const damaged = Buffer.from(file);
    const middle = Math.floor(file.length / 2);
    return damaged.fill(byte, middle, middle + 512);
  };
  const losePlusSigns = (file: Buffer) =>
    Buffer.from(file.toString('base64').replaceAll('+', ''), 'base64');
  const chelsea = () => sharp(photograph('chelsea.png'));
  /** Flips a bit of a number of a block that decompresses to something else, near the end of the data. */
  const flipped = (file: Buffer) => {
    const at = file.length - 400;
    file[at] = (file[at] as number) ^ 1;
    return file;
  };

  it('is decoded when a PNG has one chunk', async () => {
    const [whole, joined] = [photograph('chelsea.png'), oneChunk(photograph('chelsea.png'))];
    const prepare = (value: Buffer) => kind.prepare({ name: undefined, value }, model, ending);
    expect(await prepare(joined)).toEqual(await prepare(whole));
  });

  const damaged: [what: string, make: () => Promise<Buffer>][] = [
    ['JPEG', async () => overwrite(photograph('china.jpg'), 0xff)],
    [
      'JPEG that lost the plus signs of its base64',
      async () => losePlusSigns(photograph('siamese-cat.jpg')),
    ],
    [
      'progressive JPEG',
      async () => overwrite(await chelsea().jpeg({ progressive: true }).toBuffer(), 0),
    ],
    ['PNG', async () => overwrite(photograph('chelsea.png'), 0)],
    ['PNG of one chunk', async () => flipped(oneChunk(photograph('chelsea.png')))],
    [
      'transparent PNG of one chunk',
      async () => flipped(oneChunk(await chelsea().ensureAlpha(0.9).png().toBuffer())),
    ],
    [
      'large PNG of one chunk',
      async () => flipped(oneChunk(await chelsea().resize(1200, 1200).png().toBuffer())),
    ],
    ['GIF', async () => overwrite(await chelsea().gif().toBuffer(), 0)],
    ['WebP', async () => overwrite(await chelsea().webp({ lossless: true }).toBuffer(), 0)],
    ['TIFF', async () => overwrite(await chelsea().tiff({ compression: 'lzw' }).toBuffer(), 0xff)],
    ['AVIF', async () => overwrite(await chelsea().avif({ effort: 0 }).toBuffer(), 0xff)],
  ];

  it.each(damaged)('is refused when the decoder notices: %s', async (_what, make) => {
    const value = await make();
    const error = await expectRefused(
      kind.prepare({ name: undefined, value }, model, ending),
      'image_unreadable',
    );
    expect(error.message).toContain('damaged');
  });

  it('is told from an intact one while others are decoded', async () => {
    const files = {
      intact: withStrayBytes(photograph('siamese-cat.jpg')),
      damaged: overwrite(photograph('siamese-cat.jpg'), 0xff),
      unsupported: Buffer.from('BM'.padEnd(14, '\0').concat('\x28').padEnd(40, '\0'), 'latin1'),
    };
    const expected = {
      intact: 'accepted',
      damaged: 'image_unreadable',
      unsupported: 'image_unsupported',
    };
    const names = Array.from(
      { length: 60 },
      (_, at) => Object.keys(files)[at % 3] as keyof typeof files,
    );
    const found = names.map((name) =>
      kind.prepare({ name, value: files[name] }, model, ending).then(
        () => 'accepted',
        (error: ScorelineError) => error.code,
      ),
    );
    expect(await Promise.all(found)).toEqual(names.map((name) => expected[name]));
  });
});

describe('the header of a JPEG', () => {
  const turned = (orientation: number) => quarters(colours).withMetadata({ orientation }).jpeg();
  const usual: [string, Sharp][] = [
    ['of colours', quarters(colours).jpeg()],
    ['that is progressive', quarters(colours).jpeg({ progressive: true })],
    [
      'with chroma of a quarter of the size',
      quarters(colours).jpeg({ chromaSubsampling: '4:2:0' }),
    ],
    ['of greys', quarters(greys).toColourspace('b-w').jpeg()],
    ['with an upright orientation', turned(1)],
    [
      'with Exif data that says no orientation',
      quarters(colours)
        .withExif({ IFD0: { Make: 'x' } })
        .jpeg(),
    ],
  ];
  const others: [string, Sharp][] = [
    ...[2, 3, 4, 5, 6, 7, 8].map((at): [string, Sharp] => [`with orientation ${at}`, turned(at)]),
    ['of inks', quarters(inks).toColourspace('cmyk').jpeg()],
  ];

  it.each(usual)('is read as the decoder reads it: a JPEG %s', async (_what, picture) => {
    const file = await picture.jpeg().toBuffer();
    const { width, height, autoOrient } = await sharp(file).metadata();
    expect(readJpegHeader(file).usual).toEqual({ width, height });
    expect(autoOrient).toEqual({ width, height });
  });

  it.each(others)('is left to the decoder: a JPEG %s', async (_what, picture) => {
    expect(readJpegHeader(await picture.jpeg().toBuffer()).usual).toBeUndefined();
  });

  it.each(photographs.filter((name) => name.endsWith('.jpg')))('is that of %s', async (name) => {
    const { width, height, autoOrient } = await sharp(photograph(name)).metadata();
    expect(readJpegHeader(photograph(name)).usual).toEqual({ width, height });
    expect(autoOrient).toEqual({ width, height });
  });

  it('may state another size than the data has, which is refused', async () => {
    const file = Buffer.from(photograph('siamese-cat.jpg'));
    const frame = file.indexOf(Buffer.from([0xff, 0xc0]));
    file.writeUInt16BE(file.readUInt16BE(frame + 5) * 2, frame + 5);
    await expect(toPixels(file, input)).rejects.toThrow('damaged');
  });
});

describe('an intact image in an unusual file', () => {
  const cat = photograph('siamese-cat.jpg');
  const changed = (find: readonly number[] | string, at: number, values: readonly number[]) => {
    const file = Buffer.from(cat);
    const found = file.indexOf(typeof find === 'string' ? find : Buffer.from(find));
    expect(found).toBeGreaterThan(0);
    file.set(values, found + at);
    return file;
  };
  const scanParameters = 4 + 1 + 3 * 2;

  it.each([
    ['stray bytes before a segment', withStrayBytes(cat)],
    ['bytes of filling before a segment', insertBefore(cat, [0xff, 0xdb], [0xff, 0xff, 0xff])],
    ['an unknown version', changed('JFIF\0', 5, [0, 0])],
    ['a scan with the parameters of some phones', changed([0xff, 0xda], scanParameters, [0, 0, 0])],
    ['bytes after its end', Buffer.concat([cat, Buffer.from('<html>')])],
    ['a comment', insertBefore(cat, [0xff, 0xdb], [0xff, 0xfe, 0, 4, 65, 66])],
  ])('is the same image: a JPEG with %s', async (_what, file) => {
    expect((await toPixels(file, input)).equals(await toPixels(cat, input))).toBe(true);
  });

  it('is the same image: a TIFF with a tag of a wrong form', async () => {
    const file = await quarters(colours).tiff({ compression: 'lzw' }).toBuffer();
    // The tag "PageNumber" has two values. This one replaces the orientation, which is as by default.
    const unusual = Buffer.from(file);
    renameTiffTag(unusual, 274, 297);
    expect((await toPixels(unusual, input)).equals(await toPixels(file, input))).toBe(true);
  });

  it('is the same image: a GIF with bytes after its end', async () => {
    const file = await quarters(colours).gif().toBuffer();
    const unusual = Buffer.concat([file, Buffer.from('<html>')]);
    expect((await toPixels(unusual, input)).equals(await toPixels(file, input))).toBe(true);
  });
});

describe('an image in JSON', () => {
  const bytes = photograph('siamese-cat.jpg');
  const base64 = bytes.toString('base64');
  const lines = base64.replaceAll(/(.{76})/g, '$1\r\n');

  it.each([
    ['bare', base64],
    ['in literal double quotes', `"${base64}"`],
    ['in single quotes', `'${base64}'`],
    ['as Python prints bytes', `b'${base64}'`],
    ['as Python prints bytes, in double quotes', `b"${base64}"`],
    ['as a data URL', `data:image/jpeg;base64,${base64}`],
    ['as a data URL with parameters', `data:image/jpeg;charset=utf-8;base64,${base64}`],
    ['as a data URL in literal quotes', `"data:image/jpeg;base64,${base64}"`],
    ['with line breaks', lines],
    ['with line breaks, in literal quotes', `"${lines}"`],
    ['with line breaks of Windows', lines.replaceAll('\n', '\r\n')],
    ['with blanks and blank lines around its lines', lines.replaceAll('\n', ' \n\n\t\u00a0')],
    ['with blanks around its lines, as a data URL', `data:image/jpeg;base64, ${lines}\n `],
    ['with blanks around', `\n  ${base64}\n`],
    ['without its padding', base64.replace(/=+$/, '')],
  ])('is read %s', (_what, text) => {
    expect(kind.fromJson({ cat: text })).toEqual([{ name: 'cat', value: bytes }]);
  });

  it('is read without a name, and several are read by name, in order', () => {
    expect(kind.fromJson(base64)).toEqual([{ name: 'image', value: bytes }]);
    const inputs = kind.fromJson({ b: base64, a: base64 });
    expect(inputs.map((one) => one.name)).toEqual(['b', 'a']);
  });

  it.each([
    ['holds other characters', `${base64.slice(0, 40)}*${base64.slice(41)}`],
    ['holds padding in the middle', `${base64.slice(0, 40)}==${base64.slice(42)}`],
    ['has blanks where it had plus signs', base64.replaceAll('+', ' ')],
    ['has a blank inside one of its lines', lines.replace(/\n(..)/, '\n$1 ')],
    ['has a letter beyond ASCII in one of its lines', lines.replace(/\n./, '\n\u0141')],
    ['uses the alphabet for URLs', `-_-_${base64.slice(4)}`],
    ['is cut off inside a byte', base64.slice(0, 4 * 1000 + 1)],
    ['opens a quote and never closes it', `"${base64}`],
    ['is a data URL without base64', 'data:image/svg+xml,%3Csvg/%3E'],
    ['is a path', './photographs/cat.jpg'],
  ])('is refused when it %s', (_what, text) => {
    const error = errorOf(() => kind.fromJson({ cat: text }));
    expect(error.code).toBe('base64_invalid');
    expect(error.message).toContain('"cat"');
    expectForCallers(error.message);
  });

  it('is refused when its base64 is valid but cut short', async () => {
    const [cut] = kind.fromJson({ cat: base64.slice(0, 20_000) });
    if (!cut) throw new Error('Expected one input.');
    await expectRefused(kind.prepare(cut, model, ending), 'image_unreadable');
  });

  it.each([
    ['a number', { cat: 5 }, 'input_invalid'],
    ['null', { cat: null }, 'input_invalid'],
    ['an object', { cat: { data: base64 } }, 'input_invalid'],
    ['a list of images', [base64], 'input_invalid'],
    ['no image at all', {}, 'input_missing'],
    [
      'more images than are allowed',
      { a: base64, b: base64, c: base64, d: base64 },
      'too_many_inputs',
    ],
  ])('is refused when there is %s', (_what, value, code) => {
    const error = errorOf(() => kind.fromJson(value));
    expect(error.code).toBe(code);
    expectForCallers(error.message);
  });

  it('is refused by the number of its images, none of which is looked at', () => {
    const names = Object.fromEntries(
      Array.from({ length: 100 }, (_, at) => [`image ${at}`, 'AAAA']),
    );
    const read: unknown[] = [];
    const watched = new Proxy(names, {
      get: (target, name) => {
        read.push(name);
        return Reflect.get(target, name);
      },
    });
    expect(errorOf(() => kind.fromJson(watched)).code).toBe('too_many_inputs');
    expect(read).toEqual([]);
  });
});

interface Picture {
  readonly width: number;
  readonly height: number;
  /** Row by row, with three bytes a pixel. */
  readonly data: Uint8Array;
}

/** Makes a picture of four colours: top left, top right, bottom left, bottom right. */
function quarters(parts: readonly Colour[], depth: 'uchar' | 'ushort' = 'uchar'): Sharp {
  const [width, height] = [320, 256];
  const channels = (parts[0] as Colour).length as 1 | 2 | 3 | 4;
  const values = new Array<number>(width * height * channels);
  for (let at = 0; at < width * height; at++) {
    const quarter = 2 * Number(at >= (width * height) / 2) + Number(at % width >= width / 2);
    for (let c = 0; c < channels; c++) values[at * channels + c] = parts[quarter]?.[c] as number;
  }
  const raw = { width, height, channels };
  if (depth === 'uchar') return sharp(Uint8Array.from(values), { raw });
  return sharp(
    Uint16Array.from(values, (value) => value * 257),
    { raw },
  ).toColourspace('rgb16');
}

function expectQuarters(pixels: Buffer, expected: readonly Colour[], tolerance: number): void {
  expect(pixels.byteLength).toBe(224 * 224 * 3);
  for (const [quarter, colour] of expected.entries()) {
    const y = quarter < 2 ? 56 : 168;
    const x = quarter % 2 === 0 ? 56 : 168;
    const found = [...pixels.subarray((y * 224 + x) * 3, (y * 224 + x) * 3 + 3)];
    const { max } = difference(found, colour);
    expect(max, `quarter ${quarter}: expected ${colour}; got ${found}`).toBeLessThanOrEqual(
      tolerance,
    );
  }
}

function spread(parts: readonly Colour[]): Colour[] {
  return parts.map(([grey]) => [grey as number, grey as number, grey as number]);
}

function over(value: number, alpha: number): number {
  return (value * alpha + 255 * (255 - alpha)) / 255;
}

function jpeg(picture: Sharp, options: { progressive?: boolean } = {}): Promise<Buffer> {
  return picture
    .clone()
    .jpeg({ quality: 100, chromaSubsampling: '4:4:4', ...options })
    .toBuffer();
}

/** Returns a photograph stretched to a size. It has detail everywhere. */
async function rawPhotograph(
  name: string,
  size: { width: number; height: number },
): Promise<Picture> {
  const data = await sharp(photograph(name))
    .resize(size.width, size.height, { fit: 'fill' })
    .raw()
    .toBuffer();
  return { ...size, data };
}

function encode({ data, width, height }: Picture): Sharp {
  return sharp(data, { raw: { width, height, channels: 3 } });
}

/**
 * Returns the picture as a camera held in this orientation would store it. For each orientation,
 * the EXIF standard says where the stored row 0 and column 0 lie in the upright picture.
 */
function storeWithOrientation(upright: Picture, orientation: number): Picture {
  const { width, height } = upright;
  const [right, bottom] = [width - 1, height - 1];
  const place = [
    (row: number, column: number) => [column, row],
    (row: number, column: number) => [right - column, row],
    (row: number, column: number) => [right - column, bottom - row],
    (row: number, column: number) => [column, bottom - row],
    (row: number, column: number) => [row, column],
    (row: number, column: number) => [right - row, column],
    (row: number, column: number) => [right - row, bottom - column],
    (row: number, column: number) => [row, bottom - column],
  ][orientation - 1] as (row: number, column: number) => [number, number];
  const [rows, columns] = orientation <= 4 ? [height, width] : [width, height];
  const data = new Uint8Array(width * height * 3);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const [x, y] = place(row, column);
      const from = (y * width + x) * 3;
      data.set(upright.data.subarray(from, from + 3), (row * columns + column) * 3);
    }
  }
  return { width: columns, height: rows, data };
}

/** Inserts bytes before the first place where a file has these bytes. */
function insertBefore(file: Buffer, find: readonly number[], bytes: readonly number[]): Buffer {
  const at = file.indexOf(Buffer.from(find));
  expect(at).toBeGreaterThan(0);
  return Buffer.concat([file.subarray(0, at), Buffer.from(bytes), file.subarray(at)]);
}

/** Returns a JPEG with a few bytes before its first table, as some cameras leave there. */
function withStrayBytes(file: Buffer): Buffer {
  return insertBefore(file, [0xff, 0xdb], [1, 2, 3, 4, 5]);
}

/** Returns where a TIFF has the entry of a tag. Its bytes are in the order of Intel. */
function findTiffTag(file: Buffer, tag: number): number {
  const directory = file.readUInt32LE(4);
  for (let index = 0; index < file.readUInt16LE(directory); index++) {
    const at = directory + 2 + index * 12;
    if (file.readUInt16LE(at) === tag) return at;
  }
  throw new Error(`The TIFF has no tag ${tag}.`);
}

function setTiffTag(file: Buffer, tag: number, value: number): void {
  file.writeUInt16LE(value, findTiffTag(file, tag) + 8);
}

function setBigTiffTag(file: Buffer, tag: number, value: number): void {
  const directory = Number(file.readBigUInt64LE(8)) + 8;
  for (let at = directory; at < file.length - 20; at += 20) {
    if (file.readUInt16LE(at) === tag) return void file.writeUInt16LE(value, at + 12);
  }
  throw new Error(`The TIFF has no tag ${tag}.`);
}

function renameTiffTag(file: Buffer, from: number, to: number): void {
  file.writeUInt16LE(to, findTiffTag(file, from));
}

/** Returns a PNG whose pixels are in one chunk, as some programs write them. */
function oneChunk(file: Buffer): Buffer {
  const chunks: { type: string; data: Buffer }[] = [];
  for (let at = 8; at < file.length; at += 12 + file.readUInt32BE(at)) {
    const data = file.subarray(at + 8, at + 8 + file.readUInt32BE(at));
    chunks.push({ type: file.toString('latin1', at + 4, at + 8), data });
  }
  const pixels = chunks.filter(({ type }) => type === 'IDAT').map(({ data }) => data);
  const [head, end] = [chunks[0], chunks.at(-1)] as [(typeof chunks)[0], (typeof chunks)[0]];
  return Buffer.concat([
    file.subarray(0, 8),
    ...[head, { type: 'IDAT', data: Buffer.concat(pixels) }, end].map(({ type, data }) => {
      const chunk = Buffer.concat([Buffer.alloc(4), Buffer.from(type), data, Buffer.alloc(4)]);
      chunk.writeUInt32BE(data.length, 0);
      chunk.writeUInt32BE(crc32(chunk.subarray(4, -4)), chunk.length - 4);
      return chunk;
    }),
  ]);
}

async function expectRefused(work: Promise<unknown>, code: string): Promise<ScorelineError> {
  const refusal = await rejectionOf(work);
  expect(refusal.code).toBe(code);
  expectForCallers(refusal.message);
  return refusal;
}

/** Expects a detail written for callers: no library's words, no path. */
function expectForCallers(message: string): void {
  expect(message).toMatch(/^Expected .*\.$/);
  expect(message).not.toMatch(/vips|sharp|libpng|libjpeg|buffer|header|undefined|\/|\.js/i);
}
