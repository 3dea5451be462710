"""What models are built of: layers, losses, metrics, blocks, backbones."""
