"""Checks that a soup is what its report says, with nothing of Stockpot: safetensors, torch, numpy.

  python soup_opens_in_python.py SOUP_FOLDER SWEEP_FOLDER
  python soup_opens_in_python.py FOLDER FOLDER…

SOUP_FOLDER is what `stockpot submit --out` wrote for the shared sweep (SWEEP_FOLDER, its README tells), as one
safetensors file, several with an index, or soup.pt. Folders without a report.json hold one soup in several of
these forms, and are only compared.
The soup is loaded with safetensors and torch, compared with the mean of the ingredients that
manifest.json names, and evaluated on every data set of the report that is a tensor file.
"""
import collections, json, os, sys
import torch
from safetensors import safe_open
from safetensors.torch import load_file


def load_shards(folder):
    index = json.load(open(f"{folder}/soup.safetensors.index.json"))
    metadata = {name: text for name, text in index["metadata"].items() if name != "total_size"}
    soup = {}
    for file in sorted(set(index["weight_map"].values())):
        with safe_open(f"{folder}/{file}", "pt") as shard:
            assert (shard.metadata() or {}) == metadata, file
            for name in shard.keys():
                assert index["weight_map"][name] == file, name
        soup.update(load_file(f"{folder}/{file}"))
    assert soup.keys() == index["weight_map"].keys()
    assert sum(t.numel() * t.element_size() for t in soup.values()) == index["metadata"]["total_size"]
    return soup


def load_soup(folder):
    if os.path.exists(f"{folder}/soup.pt"):
        soup = torch.load(f"{folder}/soup.pt", weights_only=True)
        assert type(soup) is collections.OrderedDict
        return soup
    if os.path.exists(f"{folder}/soup.safetensors.index.json"):
        return load_shards(folder)
    return load_file(f"{folder}/soup.safetensors")


def assert_same(soup, other):
    assert list(soup) == sorted(other)
    for name, tensor in soup.items():
        assert (tensor.dtype, tensor.shape) == (other[name].dtype, other[name].shape), name
        # As bytes: a NaN is no number, but the same bits.
        bits = [t.contiguous().view(-1).view(torch.uint8) for t in (tensor, other[name])]
        assert torch.equal(*bits), name


soup_folder, sweep = sys.argv[1:3]
soup = dict(sorted(load_soup(soup_folder).items()))
if not os.path.exists(f"{soup_folder}/report.json"):
    for folder in sys.argv[2:]:
        assert_same(soup, load_soup(folder))
    print(f"the {len(sys.argv) - 1} folders hold the same {len(soup)} tensors")
    sys.exit()
report = json.load(open(f"{soup_folder}/report.json"))["result"]

kept = [i for i in report["ingredients"] if i["in_soup"]]
states = [load_file(i["uri"]) for i in kept]
for name, tensor in soup.items():
    if tensor.is_floating_point():
        mean = torch.stack([s[name].double() for s in states]).mean(0)
        worst = (tensor.double() - mean).abs().max().item()
        assert worst <= 1e-6 * max(1.0, mean.abs().max().item()), (name, worst)

model = torch.jit.load(f"{sweep}/arch.pt").eval()
model.load_state_dict(soup)
mean = torch.tensor((0.4914, 0.4822, 0.4465)).view(1, 3, 1, 1)
std = torch.tensor((0.2470, 0.2435, 0.2616)).view(1, 3, 1, 1)
chosen = next(b for b in report["blends"] if b["kind"] == report["chosen"])
compared = 0
for entry in chosen["scores"]:
    file = f"{sweep}/shift_{entry['data_set']}.safetensors"
    if entry["data_set"] == "held_out":
        file = f"{sweep}/held_out.safetensors"
    if not os.path.exists(file):
        continue
    data = load_file(file)
    with torch.no_grad():
        logits = torch.cat([model((x.float() / 255 - mean) / std) for x in data["images"].split(250)])
    correct = int((logits.argmax(1) == data["labels"]).sum())
    reported = int(entry["score"]["top1_correct"])
    print(f"{entry['data_set']}: reported {reported}, here {correct} of {len(data['labels'])}")
    assert abs(correct - reported) <= 1
    compared += 1
assert compared >= 2, "nothing was compared"
print("the soup is what its report says")
