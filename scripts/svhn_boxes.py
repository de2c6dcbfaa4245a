"""Makes boxes_train.csv or boxes_test.csv, which Tagwise reads, from SVHN's digitStruct.mat.

Needs: pip install h5py pillow
Run:   python svhn_boxes.py FOLDER, where FOLDER holds train/ and test/ as unpacked from the
       official train.tar.gz and test.tar.gz; a missing half is left out.
"""

import csv
import os
import sys

import h5py
from PIL import Image


def values(file, box, field):
    """One number per digit; a single digit is stored in place, several by reference."""
    data = box[field]
    if len(data) == 1:
        return [int(data[0, 0])]
    return [int(file[data[i, 0]][0, 0]) for i in range(len(data))]


def rows(folder):
    with h5py.File(os.path.join(folder, "digitStruct.mat"), "r") as file:
        names = file["digitStruct/name"]
        boxes = file["digitStruct/bbox"]
        for i in range(len(names)):
            name = "".join(chr(c) for c in file[names[i, 0]][:, 0])
            box = file[boxes[i, 0]]
            with Image.open(os.path.join(folder, name)) as image:
                size = image.size
            digits = [d % 10 for d in values(file, box, "label")]
            fields = [values(file, box, f) for f in ("left", "top", "width", "height")]
            yield [name, *size] + [" ".join(map(str, f)) for f in (digits, *fields)]


def main(root):
    header = "name,img_width,img_height,label,left,top,width,height".split(",")
    for half in ("train", "test"):
        folder = os.path.join(root, half)
        if not os.path.isdir(folder):
            continue
        target = os.path.join(root, f"boxes_{half}.csv")
        with open(target + ".part", "w", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows(folder))
        os.replace(target + ".part", target)


if len(sys.argv) != 2:
    sys.exit(__doc__)
main(sys.argv[1])
