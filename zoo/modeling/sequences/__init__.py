"""Parts of models of sequences of tokens."""
