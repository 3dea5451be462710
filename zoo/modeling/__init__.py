"""Components of models: layers, losses, metrics, blocks, backbones."""
