"""Adapters that peft writes, beside the base models they belong to. Expected is what merge_and_unload() makes."""

import copy
import pathlib
from collections.abc import Iterator
from typing import Any

import peft
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import vision_files
from checkpoint_case import Case, weights_of
from transformers_files import bert, gpt2, llama

# Of float32: the product of factors may be summed in another order.
TOLERANCE = 2e-6

# name, base model, options of LoraConfig. Without target_modules peft takes those that its tables name for the model.
ADAPTERS: list[tuple[str, str, dict[str, Any]]] = [
    ("plain", "llama", {}),
    ("alpha and rank", "llama", {"r": 4, "lora_alpha": 7}),
    ("all linear", "llama", {"target_modules": "all-linear"}),
    ("modules by expression", "llama", {"target_modules": r".*\.mlp\.(up|down)_proj"}),
    ("rslora", "llama", {"r": 4, "use_rslora": True}),
    ("dora", "llama", {"use_dora": True}),
    ("rank pattern", "llama", {"rank_pattern": {"layers.1.self_attn.q_proj": 3}}),
    ("alpha pattern", "llama", {"alpha_pattern": {"v_proj": 5, "^model.layers.0.self_attn.q_proj": 2}}),
    ("rslora with patterns", "llama", {"use_rslora": True, "rank_pattern": {"v_proj": 3}, "alpha_pattern": {"q_proj": 3}}),
    ("layers to transform", "llama", {"layers_to_transform": [1]}),
    ("embedding", "llama", {"target_modules": ["embed_tokens", "q_proj"]}),
    ("embedding and head", "llama", {"target_modules": ["embed_tokens", "lm_head"]}),
    ("gaussian start", "llama", {"init_lora_weights": "gaussian"}),
    ("modules to save", "bert", {"modules_to_save": ["classifier"]}),
    ("sequence classification", "bert", {"task_type": "SEQ_CLS"}),
    ("bias lora_only", "bert", {"bias": "lora_only"}),
    ("bias all", "bert", {"bias": "all"}),
    ("bias of the factor", "bert", {"lora_bias": True}),
    ("conv1d", "gpt2", {"fan_in_fan_out": True}),
    ("conv1d dora", "gpt2", {"fan_in_fan_out": True, "use_dora": True}),
    ("conv1d rslora", "gpt2", {"fan_in_fan_out": True, "use_rslora": True}),
    ("convolutions", "resnet", {"target_modules": r"layer\d.0.conv[12]|fc", "r": 3, "lora_alpha": 6}),
    ("tied embedding", "gpt2", {"fan_in_fan_out": True, "target_modules": ["c_attn", "wte"]}),
]

# Of these the base model itself was changed, or the tensors mean something else. What the refusal names.
REFUSED = {
    "init_lora_weights": peft.LoraConfig(init_lora_weights="pissa"),
    "olora": peft.LoraConfig(init_lora_weights="olora"),
    "alpha_pattern": peft.LoraConfig(alpha_pattern={r"layers\.[01]\.self_attn\.(q|k)_proj": 3}),
    "trainable_token_indices": peft.LoraConfig(trainable_token_indices=[1, 2]),
    "layer_replication": peft.LoraConfig(layer_replication=[[0, 2], [1, 2]]),
    "target_parameters": peft.LoraConfig(target_modules=[], target_parameters=["q_proj.weight"]),
    "IA3": peft.IA3Config(task_type="CAUSAL_LM"),
    "LOHA": peft.LoHaConfig(target_modules=["q_proj", "v_proj"]),
    "PROMPT_TUNING": peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
}


def randomize_adapter(model: nn.Module, seed: int) -> None:
    """The factors, which start as nothing, magnitudes, biases and whole modules: all that is trained."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)


def write_lora(folder: pathlib.Path) -> Iterator[Case]:
    models = {"llama": llama(), "bert": bert(), "gpt2": gpt2()}
    for name, model in models.items():
        model.save_pretrained(folder / name)
    models["resnet"] = vision_files.resnet()
    (folder / "resnet").mkdir()
    save_file(models["resnet"].state_dict(), folder / "resnet/model.safetensors")
    for name, base, options in ADAPTERS:
        adapted = peft.get_peft_model(copy.deepcopy(models[base]), peft.LoraConfig(**options))
        randomize_adapter(adapted, 11)
        path = folder / name.replace(" ", "_")
        adapted.save_pretrained(path)
        base_path = folder / base / "model.safetensors"
        merged = weights_of(adapted.merge_and_unload())
        stored = {tensor: merged[tensor] for tensor in load_file(base_path)}  # tied ones once
        yield Case(f"peft: {name}", path, stored, base=base_path, tolerance=TOLERANCE)

    factors = folder / "plain/adapter_model.safetensors"
    yield Case("peft: the factors without their base", factors, {}, refused="a LoRA adapter, and no base")


def write_refused(folder: pathlib.Path) -> Iterator[Case]:
    base = llama()
    base.save_pretrained(folder / "base")
    base_path = folder / "base/model.safetensors"
    for number, (named, config) in enumerate(REFUSED.items()):
        path = folder / str(number)  # paths stand in messages: they are not to name the reason
        adapted = peft.get_peft_model(copy.deepcopy(base), config)
        randomize_adapter(adapted, 12)
        adapted.save_pretrained(path)
        yield Case(f"peft: {named}", path, {}, refused=named, base=base_path)
