"""What timm's and open_clip's training scripts and their hub functions write."""

import argparse
import pathlib
from collections.abc import Iterator

import open_clip
import timm
import timm.models
import timm.utils
import torch
from open_clip.push_to_hf_hub import save_for_hf

from checkpoint_case import Case, randomize, weights_of


def vit() -> torch.nn.Module:
    model = timm.create_model("vit_tiny_patch16_224", embed_dim=24, depth=2, num_heads=3, img_size=32, num_classes=5)
    randomize(model, 4)
    return model.eval()


def resnet() -> torch.nn.Module:
    """With BatchNorm's buffers."""
    model = timm.create_model("resnet10t", channels=(8, 8, 8, 8), stem_width=8, num_classes=5)
    randomize(model, 5)
    for name, buffer in model.named_buffers():
        buffer.fill_(7) if name.endswith("num_batches_tracked") else buffer.uniform_(0.5, 1.5)
    return model.eval()


def write_timm(folder: pathlib.Path) -> Iterator[Case]:
    folder.mkdir(parents=True)
    model = resnet()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    averaged = timm.utils.ModelEmaV3(model, decay=0.5)
    randomize(averaged.module, 6)
    arguments = argparse.Namespace(model="resnet10t", lr=1e-3, class_map="", mean=(0.5, 0.5, 0.5))
    scaler = timm.utils.NativeScaler(device="cpu")
    saver = timm.utils.CheckpointSaver(
        model, optimizer, args=arguments, model_ema=averaged, amp_scaler=scaler, checkpoint_dir=str(folder)
    )
    saver.save_checkpoint(3, metric=71.5)
    path = folder / "checkpoint-3.pth.tar"
    notes = ("taken from key 'state_dict'", "has averaged weights under 'state_dict_ema'")
    yield Case("timm: training checkpoint", path, weights_of(model), notes=notes)
    yield Case("timm: its average", path, weights_of(averaged.module), key="state_dict_ema")

    transformer = vit()
    timm.models.save_for_hf(transformer, folder / "hub", safe_serialization="both")
    yield Case("timm: hub safetensors", folder / "hub/model.safetensors", weights_of(transformer))
    yield Case("timm: hub .bin", folder / "hub/pytorch_model.bin", weights_of(transformer))


def clip() -> torch.nn.Module:
    vision = {"layers": 2, "width": 24, "head_width": 8, "patch_size": 8, "image_size": 16}
    text = {"context_length": 8, "vocab_size": 60, "width": 24, "heads": 3, "layers": 2}
    model = open_clip.CLIP(embed_dim=16, vision_cfg=vision, text_cfg=text)
    open_clip.model.set_model_preprocess_cfg(model, vars(open_clip.transform.PreprocessCfg()))
    randomize(model, 7)
    return model.eval()


def write_open_clip(folder: pathlib.Path) -> Iterator[Case]:
    """The dict of open_clip_train.main, whose model is in DistributedDataParallel."""
    folder.mkdir(parents=True)
    model = clip()
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=0, world_size=1)
    try:
        parallel = torch.nn.parallel.DistributedDataParallel(model)
        optimizer = torch.optim.AdamW(parallel.parameters(), lr=1e-3)
        parallel(torch.rand(2, 3, 16, 16), torch.randint(1, 60, (2, 8)))[0].sum().backward()
        optimizer.step()
        checkpoint = {
            "epoch": 3,
            "name": "tiny",
            "state_dict": parallel.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scaler": torch.amp.GradScaler("cpu").state_dict(),
        }
        torch.save(checkpoint, folder / "epoch_3.pt")
    finally:
        torch.distributed.destroy_process_group()
    notes = ("taken from key 'state_dict'", "prefix 'module.' removed", "ignored: 'optimizer'")
    yield Case("open_clip: training checkpoint", folder / "epoch_3.pt", weights_of(model), notes=notes)

    class Tokenizer:
        def save_pretrained(self, _: pathlib.Path) -> None:
            """The weights are what matters here."""

    save_for_hf(model, Tokenizer(), {}, folder / "hub", safe_serialization="both")
    yield Case("open_clip: hub safetensors", folder / "hub/open_clip_model.safetensors", weights_of(model))
    yield Case("open_clip: hub .bin", folder / "hub/open_clip_pytorch_model.bin", weights_of(model))
