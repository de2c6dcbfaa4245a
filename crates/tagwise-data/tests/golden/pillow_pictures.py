"""Makes pillow_pictures.json: PNG and JPEG files of every kind that photographs come in, and what
Pillow makes of them: upright, over white where transparent, in grey or colour.

Needs: pip install numpy pillow==9.5.0
Run:   python pillow_pictures.py > pillow_pictures.json
"""

import io
import json

import numpy as np
from PIL import Image, ImageOps

HEIGHT, WIDTH = 9, 14


def smooth(channels):
    """A gradient in every channel, which JPEG keeps well."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [20 + 9 * x + 6 * y, 230 - 8 * x - 3 * y, 60 + 5 * x + 12 * y, 255 - 12 * y - 4 * x]
    return np.clip(np.stack(planes[:channels], axis=-1), 0, 255).astype(np.uint8)


def noise(channels):
    rng = np.random.default_rng(channels)
    return rng.integers(0, 256, (HEIGHT, WIDTH, channels)).astype(np.uint8)


def upright(image):
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits: the upper byte
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA") or "transparency" in image.info:
        image = image.convert("RGBA")
        # Pillow's own compositing rounds in two steps.
        pixels = np.asarray(image).astype(np.uint32)
        opacity = pixels[..., 3:]
        flat = (pixels[..., :3] * opacity + 255 * (255 - opacity) + 127) // 255
        return Image.fromarray(flat.astype(np.uint8))
    return image if image.mode == "L" else image.convert("RGB")


def case(name, image, tolerance, **options):
    file = io.BytesIO()
    image.save(file, **options)
    decoded = upright(Image.open(io.BytesIO(file.getvalue())))
    if name in ("grey and alpha",):
        decoded = decoded.convert("L")
    pixels = np.asarray(decoded)
    return {
        "name": name,
        "file": file.getvalue().hex(),
        "size": pixels.shape[:2],
        "channels": 1 if pixels.ndim == 2 else 3,
        "pixels": pixels.ravel().tolist(),
        "grey": np.asarray(decoded.convert("L")).ravel().tolist(),
        "tolerance": tolerance,
    }


def exif(number):
    data = Image.Exif()
    data[0x0112] = number
    return data.tobytes()


def cases():
    rgb, grey = Image.fromarray(noise(3)), Image.fromarray(noise(1)[..., 0])
    png = {"format": "PNG"}
    yield case("grey", grey, 0, **png)
    yield case("colour", rgb, 0, **png)
    yield case("grey and alpha", Image.merge("LA", Image.fromarray(noise(4)).split()[2:]), 0, **png)
    yield case("colour and alpha", Image.fromarray(noise(4)), 0, **png)
    yield case("palette", rgb.quantize(7), 0, **png)
    yield case("transparent palette", rgb.quantize(7), 0, transparency=bytes([0, 90, 255]), **png)
    yield case("one bit", grey.convert("1", dither=0), 0, **png)
    deep = np.random.default_rng(9).integers(0, 65536, (HEIGHT, WIDTH)).astype(np.uint16)
    yield case("16 bits", Image.fromarray(deep), 0, **png)
    for number in range(1, 9):
        yield case(f"PNG turned {number}", grey, 0, exif=exif(number), **png)
    jpeg = {"format": "JPEG", "quality": 98, "subsampling": 0}
    rgb, grey = Image.fromarray(smooth(3)), Image.fromarray(smooth(1)[..., 0])
    yield case("grey JPEG", grey, 2, **jpeg)
    yield case("colour JPEG", rgb, 3, **jpeg)
    yield case("progressive JPEG", rgb, 3, progressive=True, **jpeg)
    yield case("subsampled JPEG", rgb, 6, format="JPEG", quality=95, subsampling=2)
    yield case("CMYK JPEG", Image.fromarray(smooth(4), "CMYK"), 4, **jpeg)
    for number in (3, 6, 8):
        yield case(f"JPEG turned {number}", rgb, 3, exif=exif(number), **jpeg)


print("[" + ",\n".join(json.dumps(c) for c in cases()) + "]")
