"""Architecture files of models: TorchScript, or machine code (method="compile"), that gives what the model gives, under the model's own tensor names.

    from stockpot.export import export

    exported = export(timm.create_model("resnet18"), "model.pt")
    print(exported.max_difference)
    client.submit(architecture=exported, ingredients=["sweep/*.safetensors"], held_out="images")

Takes a torch.nn.Module; of timm, transformers and open_clip it knows what goes in and what comes out. What is written was
compared with the model: on random inputs of several batch sizes, and again with other weights put in by name, as the server
does it. A model that would not work is refused with the reason. Needs the extra `torch`.
"""

from ._exported import Exported
from ._refusals import ExportRefused
from ._export import export

__all__ = ["export", "Exported", "ExportRefused"]
