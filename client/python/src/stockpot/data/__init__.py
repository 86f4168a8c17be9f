"""Data sets that the server reads, made of what people have in Python. Each function gives a DataSet for submit().

    from stockpot.data import from_datasets, image_folder, save_tensors, tokenise

    held_out = tokenise(texts, labels, tokenizer, "held_out.safetensors", length=128)
    client.submit(…, held_out=held_out)

Files are written beside their names and renamed when they are whole. Needs the extra `torch`; `from_datasets` takes data
sets of Hugging Face's package, `image_folder` those of torchvision.
"""

from ._images import from_datasets, image_folder, save_images
from ._tensors import save_tensors
from ._text import language_model, tokenise

__all__ = ["save_tensors", "save_images", "image_folder", "from_datasets", "tokenise", "language_model"]
