"""Checks that a soup is what its report says, with nothing of Stockpot: safetensors, torch, numpy.

  python soup_opens_in_python.py SOUP_FOLDER SWEEP_FOLDER

SOUP_FOLDER is what `stockpot submit --out` wrote for the shared sweep (SWEEP_FOLDER, its README tells).
The soup is loaded with safetensors and torch, compared with the mean of the ingredients that
manifest.json names, and evaluated on every data set of the report that is a tensor file.
"""
import json, os, sys
import torch
from safetensors.torch import load_file

soup_folder, sweep = sys.argv[1:3]
soup = load_file(f"{soup_folder}/soup.safetensors")
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
