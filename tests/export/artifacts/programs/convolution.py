"""Write convolution.pt2 and convolution.onnx, with PyTorch 2.9.1 and onnx: python convolution.py."""

import torch


class Network(torch.nn.Module):
    """A convolution with batch normalisation, and a linear layer."""

    def __init__(self):
        """Create the layers."""
        super().__init__()
        self.c = torch.nn.Conv2d(1, 4, 3, padding=1)
        self.b = torch.nn.BatchNorm2d(4)
        self.l = torch.nn.Linear(4 * 8 * 8, 3)

    def forward(self, image):
        """Return logits (B, 3) of images (B, 1, 8, 8)."""
        x = torch.relu(self.b(self.c(image)))
        return {"logits": self.l(x.flatten(1))}


if __name__ == "__main__":
    torch.manual_seed(0)
    model, example = Network().eval(), (torch.rand(2, 1, 8, 8),)
    shapes = {"image": {0: torch.export.Dim("batch")}}
    torch.export.save(torch.export.export(model, example, dynamic_shapes=shapes), "convolution.pt2")
    axes = {"image": {0: "n"}, "logits": {0: "n"}}
    names = {"input_names": ["image"], "output_names": ["logits"], "dynamic_axes": axes}
    torch.onnx.export(model, example, "convolution.onnx", dynamo=False, opset_version=17, **names)
