// The files are those that transformers 4.57 and timm 1.0.31 write, without what is not read.

import { expect, test } from 'vitest';
import { readImageProcessor } from '../../cli/models/adding/preparing/image-processor.js';
import { readTimm } from '../../cli/models/adding/preparing/timm.js';

const half = [0.5, 0.5, 0.5];
const imagenet = { image_mean: [0.485, 0.456, 0.406], image_std: [0.229, 0.224, 0.225] };
const normalised = { do_normalize: true, do_rescale: true, image_mean: half, image_std: half };
const read = (content: object) =>
  readImageProcessor({ ...normalised, ...content }, 'preprocessor_config.json');
const square = (side: number) => ({ height: side, width: side });

test.each<[string, object, object]>([
  [
    'ViT',
    { image_processor_type: 'ViTImageProcessor', resample: 2, size: square(224) },
    { interpolation: 'bilinear', mean: half, std: half },
  ],
  [
    'ViT of 2021',
    { feature_extractor_type: 'ViTFeatureExtractor', resample: 3, size: 384 },
    { interpolation: 'bicubic', mean: half, std: half },
  ],
  [
    'CLIP of 2021',
    {
      ...{ feature_extractor_type: 'CLIPFeatureExtractor', resample: 3, size: 224 },
      ...{ do_center_crop: true, crop_size: 224 },
    },
    { interpolation: 'bicubic', resize: 'shorter-side', shorterSide: 224, mean: half, std: half },
  ],
  [
    'DINOv2',
    {
      ...{ image_processor_type: 'BitImageProcessor', resample: 3, size: { shortest_edge: 256 } },
      ...{ do_center_crop: true, crop_size: square(224), ...imagenet },
    },
    {
      ...{ interpolation: 'bicubic', resize: 'shorter-side', shorterSide: 256 },
      ...{ mean: imagenet.image_mean, std: imagenet.image_std },
    },
  ],
  [
    'ResNet',
    {
      ...{ image_processor_type: 'ConvNextImageProcessor', crop_pct: 0.875, resample: 3 },
      size: { shortest_edge: 224 },
    },
    { interpolation: 'bicubic', resize: 'shorter-side', shorterSide: 256, mean: half, std: half },
  ],
  [
    'ConvNeXt of 384',
    { image_processor_type: 'ConvNextImageProcessor', size: { shortest_edge: 384 } },
    { interpolation: 'bilinear', mean: half, std: half },
  ],
  [
    'PoolFormer',
    {
      ...{ image_processor_type: 'PoolFormerImageProcessor', crop_pct: 0.9, resample: 3 },
      ...{ size: { shortest_edge: 224 }, do_center_crop: true, crop_size: square(224) },
    },
    { interpolation: 'bicubic', resize: 'shorter-side', shorterSide: 248, mean: half, std: half },
  ],
  [
    'LeViT',
    {
      ...{ image_processor_type: 'LevitImageProcessor', resample: 3 },
      ...{ size: { shortest_edge: 224 }, do_center_crop: true, crop_size: square(224) },
    },
    { interpolation: 'bicubic', resize: 'shorter-side', shorterSide: 256, mean: half, std: half },
  ],
  [
    'EfficientNet',
    {
      ...{ image_processor_type: 'EfficientNetImageProcessor', resample: 0, size: square(224) },
      ...{ rescale_factor: 1 / 255, rescale_offset: false, include_top: true },
    },
    { interpolation: 'nearest', mean: half, std: [0.25, 0.25, 0.25] },
  ],
  [
    'a processor that shifts',
    { size: square(224), rescale_factor: 1 / 127.5, rescale_offset: true, do_normalize: false },
    { interpolation: 'bilinear', scale: 1 / 127.5, offset: -1 },
  ],
  [
    'a processor of bytes',
    { size: square(224), do_rescale: false, image_mean: [100, 50, 0], image_std: [50, 50, 20] },
    { interpolation: 'bilinear', scale: [0.02, 0.02, 0.05], offset: [-2, -1, 0] },
  ],
  [
    'a processor that turns the channels',
    { size: square(224), do_flip_channel_order: true, do_normalize: false },
    { interpolation: 'bilinear', channels: 'bgr', scale: 1 / 255 },
  ],
])('pictures are prepared as by %s', (_name, content, keys) => {
  const preparation = read(content);
  const { width = 0, height = 0 } = preparation ?? {};
  expect(preparation?.unlike).toBeUndefined();
  expect(preparation?.pixels(width, height)).toEqual(keys);
  expect([width, height]).toEqual(
    JSON.stringify(content).includes('384') ? [384, 384] : [224, 224],
  );
});

test.each<[string, object, (number | undefined)[]]>([
  [
    'it cuts them out of a stretched picture',
    { size: square(256), do_center_crop: true, crop_size: square(224) },
    [224, 224],
  ],
  [
    'it puts black around them',
    { size: { shortest_edge: 224 }, do_center_crop: true, crop_size: square(256) },
    [256, 256],
  ],
  [
    'its pictures have several sizes',
    { size: { shortest_edge: 800, longest_edge: 1333 } },
    [undefined, undefined],
  ],
  ['it has another filter', { size: square(224), resample: 5 }, [224, 224]],
  ['it resizes nothing', { do_resize: false, size: square(224) }, [undefined, undefined]],
])('what a manifest cannot say is named: %s', (unlike, content, size) => {
  const preparation = read(content);
  expect(preparation).toMatchObject({ unlike, width: size[0], height: size[1] });
  expect(preparation?.pixels(224, 224)).toEqual({ mean: half, std: half });
});

test('a network of another size gets as large a part of a picture', () => {
  const preparation = read({
    image_processor_type: 'BitImageProcessor',
    ...{ size: { shortest_edge: 256 }, do_center_crop: true, crop_size: square(224) },
  });
  expect(preparation?.pixels(448, 448)).toMatchObject({ shorterSide: 512 });
});

test('a file about sounds says nothing of pictures', () => {
  const sounds = { feature_extractor_type: 'WhisperFeatureExtractor', sampling_rate: 16_000 };
  expect(readImageProcessor(sounds, 'preprocessor_config.json')).toBeUndefined();
});

test.each<[object, object]>([
  [
    { crop_pct: 0.9, crop_mode: 'center', interpolation: 'bicubic' },
    { interpolation: 'bicubic', resize: 'shorter-side', shorterSide: 284 },
  ],
  [{ crop_pct: 1, crop_mode: 'squash', interpolation: 'bicubic' }, { interpolation: 'bicubic' }],
  [{ crop_pct: 0.9, crop_mode: 'border' }, {}],
])('pictures are prepared as by timm: %j', (given, keys) => {
  const pretrained_cfg = { input_size: [3, 256, 256], mean: half, std: half, ...given };
  const preparation = readTimm({ architecture: 'resnet18', pretrained_cfg }, 'config.json');
  expect(preparation).toMatchObject({ width: 256, height: 256, by: 'config.json says' });
  expect(preparation?.pixels(256, 256)).toEqual({ ...keys, mean: half, std: half });
  expect(readTimm({ id2label: {} }, 'config.json')).toBeUndefined();
});
