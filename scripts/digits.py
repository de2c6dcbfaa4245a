"""Makes crates/tagwise-data/data/digits.png from scikit-learn's copy of the UCI digits."""

import pathlib

import numpy
from PIL import Image
from sklearn.datasets import load_digits

digits = load_digits()
table = numpy.column_stack([digits.data, digits.target]).astype(numpy.uint8)  # [1797, 65]
target = pathlib.Path(__file__).parent.parent / "crates/tagwise-data/data/digits.png"
Image.fromarray(table).save(target, optimize=True)
