"""Writes what Pillow, torchvision and Keras make of pictures: expected.json, for preprocessing.test.ts.

    python expected.py torch    # needs torchvision and pillow
    python expected.py keras    # needs tensorflow, keras and pillow

Each run replaces the cases of its library. A case has the keys of the manifest's `input`, and the tensor of
one row as base64. `unit` is what a tensor's number changes by if a pixel changes by one.
"""

import base64
import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

folder = Path(__file__).parent
large = folder / "large.png"  # 113 x 75, from test/photographs/chelsea.png
small = folder / "small.png"  # 24 x 16
width, height = 24, 16
size = {"width": width, "height": height}


def picture(path):
    # Without the metadata of the file
    return Image.fromarray(np.asarray(Image.open(path).convert("RGB")))


def case(library, what, path, keys, tensor, unit=1.0):
    numbers = np.ascontiguousarray(tensor)
    return {"library": library, "what": what, "picture": path.name, "unit": unit,
            "input": {**size, **keys}, "shape": list(numbers.shape),
            "tensor": base64.b64encode(numbers.tobytes()).decode()}


def letterboxed(image, filter, colour, position="centre"):
    """As Ultralytics' LetterBox, or that of YOLOX at the top left, with Pillow's filter."""
    ratio = min(height / image.height, width / image.width)
    scaled = image.resize((round(image.width * ratio), round(image.height * ratio)), filter)
    frame = Image.new("RGB", (width, height), colour)
    left, top = (width - scaled.width) / 2, (height - scaled.height) / 2
    place = (0, 0) if position == "top-left" else (round(left - 0.1), round(top - 0.1))
    frame.paste(scaled, place)
    return frame


def pillow_cases():
    filters = {"nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR,
               "bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}
    pixels = {"tensor": "uint8-nhwc"}
    for name, filter in filters.items():
        for path, part in [(large, None), (small, (0, 0, 13, 9)), (small, (0, 0, 24, 5))]:
            image = picture(path)
            if part:
                image = image.crop(part)
                path = folder / f"small-{part[2]}x{part[3]}.png"
                image.save(path)
            yield case("Pillow", f"resize, {name}, {path.stem}", path,
                       {**pixels, "interpolation": name}, image.resize((width, height), filter))
    wide = picture(large).crop((0, 27, 113, 47))
    wide.save(folder / "wide.png")
    for name, colour in [("bilinear", (114, 114, 114)), ("bicubic", (10, 20, 30)), ("lanczos", (0, 0, 0))]:
        keys = {**pixels, "resize": "letterbox", "interpolation": name, "padding": list(colour)}
        yield case("Pillow", f"letterbox, {name}", folder / "wide.png", keys,
                   letterboxed(wide, filters[name], colour))
    tall = wide.rotate(90, expand=True)
    tall.save(folder / "tall.png")
    small_tall = picture(folder / "small-13x9.png").rotate(90, expand=True)
    small_tall.save(folder / "small-9x13.png")
    corner = {**pixels, "resize": "letterbox", "position": "top-left", "padding": 114}
    grey = (114, 114, 114)
    for path, name in [("wide.png", "bilinear"), ("tall.png", "bicubic"), ("small-9x13.png", "lanczos")]:
        image = picture(folder / path)
        yield case("Pillow", f"letterbox at the top left, {name}, {path}", folder / path,
                   {**corner, "interpolation": name}, letterboxed(image, filters[name], grey, "top-left"))
    mixed = {**pixels, "interpolation": "lanczos"}
    yield case("Pillow", "resize, lanczos, narrower and higher", folder / "wide.png", {**mixed, "height": 40},
               wide.resize((width, 40), filters["lanczos"]))
    yield case("Pillow", "letterbox of a tall picture in black", folder / "tall.png",
               {**pixels, "resize": "letterbox"}, letterboxed(tall, filters["bicubic"], 0))
    yield case("Pillow", "grey", small, {**pixels, "channels": "grey"},
               np.asarray(picture(small).convert("L"))[..., None])
    grey = np.asarray(picture(large).convert("L").resize((width, height), filters["bilinear"]))
    yield case("Pillow", "grey floats", large,
               {"tensor": "float32-nchw", "channels": "grey", "interpolation": "bilinear",
                "scale": 1 / 255, "offset": 0}, (grey / 255).astype("float32")[None], 1 / 255)


def torch_cases():
    import torch
    from torch.nn.functional import interpolate
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as transforms

    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    scaling = {"mean": mean, "std": std}
    modes = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}
    for name, mode in modes.items():
        for path, side in [(large, 28), (folder / "tall.png", 27), (small, 41)]:
            image = transforms.center_crop(transforms.resize(picture(path), side, mode),
                                           (height, width))
            tensor = transforms.normalize(transforms.to_tensor(image), mean, std)
            keys = {"resize": "shorter-side", "shorterSide": side, "interpolation": name,
                    "tensor": "float32-nchw", **scaling}
            yield case("torchvision", f"shorter side {side}, {name}, {path.stem}", path, keys,
                       tensor.numpy(), 1 / 255 / min(std))
    exact = transforms.normalize(transforms.to_tensor(picture(small)), mean, std)
    yield case("torchvision", "normalize", small, {"tensor": "float32-nchw", **scaling},
               exact.numpy(), 1 / 255 / min(std))
    yield case("torchvision", "normalize, channels last", small,
               {"tensor": "float32-nhwc", **scaling}, exact.permute(1, 2, 0).numpy(),
               1 / 255 / min(std))
    for layout, half in [("nchw", exact.half()), ("nhwc", exact.permute(1, 2, 0).half())]:
        yield case("torchvision", f"normalize, half precision, {layout}", small,
                   {"tensor": f"float16-{layout}", **scaling}, half.numpy(), 1 / 255 / min(std))
    reversed = exact.flip(0)
    yield case("torchvision", "normalize, blue first", small,
               {"tensor": "float32-nchw", "channels": "bgr", "mean": mean[::-1], "std": std[::-1]},
               reversed.numpy(), 1 / 255 / min(std))
    pixels = np.asarray(picture(small))
    yield case("numpy", "bytes, channels first", small, {"tensor": "uint8-nchw"},
               pixels.transpose(2, 0, 1))
    yield case("numpy", "bytes, blue first", small, {"tensor": "uint8-nhwc", "channels": "bgr"},
               pixels[..., ::-1])
    yield case("numpy", "bytes, channels first, blue first", small,
               {"tensor": "uint8-nchw", "channels": "bgr"}, pixels[..., ::-1].transpose(2, 0, 1))
    floats = torch.from_numpy(np.asarray(picture(large)).copy()).permute(2, 0, 1)[None].float()
    sparse = interpolate(floats, (height, width), mode="bilinear", antialias=False)[0]
    yield case("torch", "interpolate without antialiasing", large,
               {"tensor": "float32-nchw", "interpolation": "bilinear", "antialias": False,
                "scale": 1}, sparse.numpy())


def keras_cases():
    import keras
    import tensorflow as tf

    def floats(path, **how):
        return keras.utils.img_to_array(keras.utils.load_img(path, **how))

    whole = floats(small)
    applications = keras.applications
    scalings = [("tf", applications.mobilenet_v2, {"scale": 1 / 127.5, "offset": -1}, 1 / 127.5),
                ("tf, as mean and std", applications.xception, {"mean": 0.5, "std": 0.5}, 1 / 127.5),
                ("torch", applications.densenet, {"mean": [0.485, 0.456, 0.406],
                                                  "std": [0.229, 0.224, 0.225]}, 1 / 255 / 0.224),
                ("caffe", applications.resnet50, {"channels": "bgr",
                                                  "offset": [-103.939, -116.779, -123.68]}, 1),
                ("none", applications.efficientnet, {"scale": 1}, 1)]
    for name, application, keys, unit in scalings:
        yield case("Keras", f"preprocess_input, {name}", small, {"tensor": "float32-nhwc", **keys},
                   application.preprocess_input(whole.copy()), unit)
    target = {"target_size": (height, width)}
    for name in ["nearest", "bilinear", "bicubic"]:
        yield case("Keras", f"load_img, {name}", large,
                   {"tensor": "float32-nhwc", "interpolation": name, "scale": 1},
                   floats(large, **target, interpolation=name))
        yield case("Keras", f"load_img, kept proportions, {name}", folder / "wide.png",
                   {"tensor": "float32-nhwc", "interpolation": name, "scale": 1, "resize": "crop"},
                   floats(folder / "wide.png", **target, interpolation=name,
                          keep_aspect_ratio=True))
    sparse = {"tensor": "float32-nhwc", "interpolation": "bilinear", "antialias": False, "scale": 1}
    yield case("TensorFlow", "image.resize", large, sparse,
               tf.image.resize(floats(large), (height, width)).numpy())
    for path in [folder / "wide.png", folder / "tall.png"]:
        smart = keras.preprocessing.image.smart_resize(floats(path), (height, width))
        yield case("Keras", f"smart_resize, {path.stem}", path, {**sparse, "resize": "crop"}, smart)
    path = folder / "small-24x5.png"
    yield case("TensorFlow", "image.resize_with_pad", path, {**sparse, "resize": "letterbox"},
               tf.image.resize_with_pad(floats(path), height, width).numpy())
    layer = keras.layers.Rescaling(1 / 255)
    yield case("Keras", "Rescaling", small, {"tensor": "float32-nhwc", "scale": 1 / 255},
               np.asarray(layer(whole)), 1 / 255)


def main():
    path = folder / "expected.json"
    known = json.loads(path.read_text()) if path.exists() else []
    if sys.argv[1] == "torch":
        made = [*pillow_cases(), *torch_cases()]
    else:
        made = [*keras_cases()]
    libraries = {each["library"] for each in made}
    kept = [each for each in known if each["library"] not in libraries]
    lines = ",\n".join(json.dumps(each) for each in kept + made)
    path.write_text(f"[\n{lines}\n]\n")


main()
