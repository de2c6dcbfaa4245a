"""Makes pillow_lanczos.json: small noisy images and what Pillow resizes them to.

Needs: pip install numpy pillow==9.5.0
Pillow 9.5 filters rows first, as when the paper's images were made; recent versions filter columns
first where that is cheaper, which rounds differently.
Run:   python pillow_lanczos.py > pillow_lanczos.json
"""

import json

import numpy as np
from PIL import Image

SIZES = [  # (height, width) before and after
    ((5, 7), (8, 8)),
    ((20, 9), (8, 8)),
    ((9, 20), (8, 8)),
    ((8, 20), (8, 8)),
    ((20, 8), (8, 8)),
    ((8, 8), (8, 8)),
    ((1, 1), (4, 3)),
    ((31, 17), (6, 11)),
]


def case(index, size, new_size, channels):
    rng = np.random.default_rng(index)
    shape = (*size, channels) if channels > 1 else size
    pixels = rng.choice([0, 3, 128, 250, 255], shape).astype(np.uint8)
    resized = Image.fromarray(pixels).resize((new_size[1], new_size[0]), Image.Resampling.LANCZOS)
    return {
        "size": size,
        "new_size": new_size,
        "channels": channels,
        "pixels": pixels.ravel().tolist(),
        "resized": np.asarray(resized).ravel().tolist(),
    }


cases = [case(i, *sizes, channels) for channels in (3, 1) for i, sizes in enumerate(SIZES)]
print("[" + ",\n".join(json.dumps(c) for c in cases) + "]")
