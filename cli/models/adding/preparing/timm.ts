// What the `config.json` of a network of timm says of its pictures. Source: `transforms_imagenet_eval` of timm 1.

import type { Preparation } from './preparation.js';

type Content = Readonly<Record<string, unknown>>;

/** Returns undefined if timm has not written it. */
export function readTimm(content: Content, file: string): Preparation | undefined {
  const given = content.pretrained_cfg as Content | undefined;
  const [, height, width] = Array.isArray(given?.input_size) ? given.input_size.map(Number) : [];
  if (!given || !height || !width) return undefined;
  const {
    mean,
    std,
    interpolation = 'bilinear',
    crop_pct: share = 0.875,
    crop_mode: mode = 'center',
  } = given;
  const isWhole = mode === 'squash' && share === 1;
  const unlike =
    isWhole || (mode === 'center' && width === height)
      ? undefined
      : `its crop_mode is ${mode}, for ${width} × ${height}`;
  const filter = { interpolation: interpolation === 'random' ? 'bilinear' : interpolation };
  return {
    by: `${file} says`,
    ...{ width, height, findsThings: false, unlike },
    pixels: (toWidth, toHeight) => ({
      ...(unlike === undefined && filter),
      ...(unlike === undefined &&
        !isWhole && {
          resize: 'shorter-side',
          shorterSide: Math.floor(Math.max(toWidth, toHeight) / Number(share)),
        }),
      ...(mean !== undefined && std !== undefined && { mean, std }),
    }),
  };
}
