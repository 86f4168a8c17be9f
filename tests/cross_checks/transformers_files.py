"""What transformers and accelerate write: tiny configurations with random weights."""

import json
import pathlib
from collections.abc import Iterator

import accelerate
import huggingface_hub
import torch
import transformers

from checkpoint_case import Case, Weights, randomize, weights_of


def bert() -> transformers.PreTrainedModel:
    config = transformers.BertConfig(
        vocab_size=60, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=40, num_labels=3
    )
    model = transformers.BertForSequenceClassification(config)
    randomize(model, 1)
    return model.eval()


def gpt2() -> transformers.PreTrainedModel:
    """lm_head.weight is transformer.wte.weight."""
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=60, n_positions=16, n_embd=24, n_layer=2, n_head=4))
    randomize(model, 2)
    return model.eval()


def llama(tied: bool = False) -> transformers.PreTrainedModel:
    config = transformers.LlamaConfig(
        vocab_size=60,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
    )
    model = transformers.LlamaForCausalLM(config)
    randomize(model, 3)
    return model.eval()


def save_bin_shards(weights: Weights, folder: pathlib.Path) -> pathlib.Path:
    """As save_pretrained(safe_serialization=False) of transformers 4 did."""
    folder.mkdir(parents=True)
    split = huggingface_hub.split_torch_state_dict_into_shards(
        weights, filename_pattern="pytorch_model{suffix}.bin", max_shard_size=20_000
    )
    for file, names in split.filename_to_tensors.items():
        torch.save({name: weights[name] for name in names}, folder / file)
    index = folder / "pytorch_model.bin.index.json"
    content = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
    index.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
    return index


def write_transformers(folder: pathlib.Path) -> Iterator[Case]:
    classifier = bert()
    classifier.save_pretrained(folder / "bert")
    yield Case("transformers: safetensors", folder / "bert/model.safetensors", weights_of(classifier))
    bf16 = bert().to(torch.bfloat16)
    bf16.save_pretrained(folder / "bf16")
    yield Case("transformers: bfloat16", folder / "bf16/model.safetensors", weights_of(bf16))
    torch.save(classifier.state_dict(), folder / "pytorch_model.bin")
    yield Case("transformers: pytorch_model.bin", folder / "pytorch_model.bin", weights_of(classifier))

    language = gpt2()
    language.save_pretrained(folder / "gpt2")
    without_head = weights_of(language, leave_out=("lm_head.weight",))
    yield Case("transformers: tied embeddings, safetensors", folder / "gpt2/model.safetensors", without_head)
    torch.save(language.state_dict(), folder / "gpt2.bin")
    yield Case("transformers: tied embeddings, .bin", folder / "gpt2.bin", weights_of(language))


def write_sharded(folder: pathlib.Path) -> Iterator[Case]:
    def case(name: str, path: pathlib.Path) -> Case:
        return Case(name, path, weights)

    model = llama()
    weights = weights_of(model)
    model.save_pretrained(folder / "llama", max_shard_size="20KB")
    index = folder / "llama/model.safetensors.index.json"
    yield case("transformers: sharded safetensors, index", index)
    yield case("transformers: sharded safetensors, folder", index.parent)
    shard = next(index.parent.glob("*-00001-of-*.safetensors"))
    yield Case("transformers: one shard alone", shard, {}, refused="one file of several")
    bin_index = save_bin_shards(weights, folder / "llama_bin")
    yield case("transformers: sharded .bin, index", bin_index)
    yield case("transformers: sharded .bin, folder", bin_index.parent)
    single = folder / "single"
    model.save_pretrained(single)
    yield case("transformers: folder of one file", single)

    accelerate.Accelerator(cpu=True).save_model(model, folder / "accelerate", max_shard_size="20KB")
    index = folder / "accelerate/model.safetensors.index.json"
    yield case("accelerate: save_model, sharded", index)


def write_accelerate(folder: pathlib.Path) -> Iterator[Case]:
    accelerator = accelerate.Accelerator(cpu=True)
    model = bert()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    prepared, optimizer = accelerator.prepare(model, optimizer)
    accelerator.save_state(folder / "state")
    yield Case("accelerate: save_state", folder / "state/model.safetensors", weights_of(model))
