"""Vectors of the original all-MiniLM-L6-v2 by sentence-transformers: minilm.py FOLDER TEXTS.json VECTORS.npy."""

import json
import sys
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

folder, texts, vectors = sys.argv[1:]
model = SentenceTransformer(folder, device="cpu")
np.save(vectors, model.encode(json.loads(Path(texts).read_text()), batch_size=32, show_progress_bar=False))
