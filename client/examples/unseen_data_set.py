"""The paper's cross-data-set scenario in small: models fine-tuned on different data sets, and their soup on one that
none of them saw.

    python client/examples/unseen_data_set.py --programs build/release/bin

A model in the manner of CLIP gives sentences as vectors, and its classes are sentences too: "a bad film", "a good film".
So it has classes for a data set that it was never trained on. It is trained on some tweets, film reviews and newspaper
sentences together (Hutto and Gilbert, 2014, as sentences.py has them), and then fine-tuned on each of the three alone,
with two learning rates each. Stockpot makes a greedy soup of these and of the model that they began with, by product
reviews, which are in no training set: some choose, the others make the headline. Each data set brings its own
classifier, made of its classes' sentences. What helped the paper's large models need not help one that is so small: the
soup may gain nothing, and the report says so then. Leaves the soup and report.html in --folder. About 25 seconds of a
processor for the training. Needs torch, transformers and stockpot[notebook,report,torch].
"""

from __future__ import annotations

import torch
from private_server import private_server
from safetensors.torch import save_file
from sentences import Rated, make_tokenizer, read, set_up
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast

from stockpot.data import tokenise
from stockpot.export import export
from stockpot.v1 import spec_pb2

LENGTH = 32
FEATURES = 32
SCALE = 20.0  # of cosines, as CLIP's
# File and classes of each data set; the last is never trained on.
SOURCES = {
    "films": ("movieReviewSnippets", "film"),
    "tweets": ("tweets", "tweet"),
    "newspapers": ("nytEditorialSnippets", "newspaper"),
    "products": ("amazonReviewSnippets", "product"),
}
TRAINED_ON = ["films", "tweets", "newspapers"]


class Encoder(nn.Module):
    """Tokens [N, length] and their mask to features [N, 32]: a deep averaging network (Iyyer et al., 2015)."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, 64)
        self.layers = nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Linear(64, FEATURES))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        mask = attention_mask.unsqueeze(2).float()
        mean = (self.tokens(input_ids) * mask).sum(1) / mask.sum(1).clamp(min=1)
        result: Tensor = self.layers(mean)
        return result


class Sentences:
    """What a model takes of sentences."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer

    def features(self, model: nn.Module, texts: list[str]) -> Tensor:
        encoded = self._tokenizer(
            texts, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
        )
        result: Tensor = model(encoded["input_ids"], encoded["attention_mask"])
        return result

    def classes(self, model: nn.Module, noun: str) -> Tensor:
        """The classifier [2, features] of a data set."""
        return F.normalize(self.features(model, [f"a bad {noun}", f"a good {noun}"]))


def train(model: Encoder, sentences: Sentences, parts: list[tuple[Rated, str]], rate: float, epochs: int) -> None:
    """On all parts by turns; classes are sentences to the model that is trained."""
    torch.manual_seed(0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    model.train()
    batches = [(rated[i : i + 64], noun) for rated, noun in parts for i in range(0, len(rated), 64)]
    for _ in range(epochs):
        for index in torch.randperm(len(batches)):
            rated, noun = batches[int(index)]
            features = F.normalize(sentences.features(model, [text for _, text in rated]))
            labels = torch.tensor([int(rating > 0) for rating, _ in rated])
            optimiser.zero_grad()
            F.cross_entropy(SCALE * features @ sentences.classes(model, noun).T, labels).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    model.eval()


def main() -> None:
    programs, folder, text = set_up(__doc__, "unseen_data_set")
    rated = {name: read(text / f"{file}_GroundTruth.txt") for name, (file, _) in SOURCES.items()}
    nouns = {name: noun for name, (_, noun) in SOURCES.items()}
    tokenizer = make_tokenizer([each for name in TRAINED_ON for each in rated[name][:3000]])
    sentences = Sentences(tokenizer)
    torch.manual_seed(0)
    base = Encoder(tokenizer.vocab_size)
    train(base, sentences, [(rated[name][:1000], nouns[name]) for name in TRAINED_ON], 3e-3, 10)
    save_file(base.state_dict(), folder / "base.safetensors")
    for name in TRAINED_ON:
        for rate in (1e-3, 3e-3):
            model = Encoder(tokenizer.vocab_size)
            model.load_state_dict(base.state_dict())
            train(model, sentences, [(rated[name][1000:3000], nouns[name])], rate, 4)
            save_file(model.state_dict(), folder / "sweep" / f"{name}-{rate:g}.safetensors")
            print(f"fine-tuned on {name}, learning rate {rate:g}")

    def save(name: str, source: str, part: Rated) -> spec_pb2.DataSet:
        """Examples, and the classifier that the model which they all began with makes of their classes."""
        data_set = tokenise(
            [text for _, text in part],
            [int(rating > 0) for rating, _ in part],
            tokenizer,
            folder / f"{name}.safetensors",
            length=LENGTH,
            name=name,
        )
        classifier = folder / f"classes_of_{source}.safetensors"
        with torch.no_grad():
            save_file({"weight": sentences.classes(base, nouns[source])}, classifier)
        data_set.classifier.uri = str(classifier)
        data_set.classifier.normalize_features = True
        data_set.classifier.scale = SCALE
        return data_set

    inputs = {name: torch.ones(2, LENGTH, dtype=torch.int64) for name in ("input_ids", "attention_mask")}
    unseen = rated["products"]
    with private_server(programs, folder) as client:
        job = client.submit(
            display_name="Products, by models that saw none",
            architecture=export(base, folder / "architecture.pt", inputs),
            base=folder / "base.safetensors",
            ingredients=[folder / "base.safetensors", folder / "sweep" / "*.safetensors"],
            held_out=save("products", "products", unseen[:1200]),
            final_set=save("more_products", "products", unseen[1200:]),
            report_sets=[save(f"other_{name}", name, rated[name][3000:3800]) for name in TRAINED_ON],
            recipe="greedy",
            comparisons=["uniform", "logit-ensemble"],
            analysis={"angles": True},
            report_every_ingredient=True,
            full_scores=True,
        )
        report = job.result(progress=True)
        job.download(folder / "soup")
        print(report)
        print(report.to_html(folder / "report.html"))


if __name__ == "__main__":
    main()
