"""The paper's text scenario in small: a transformer fine-tuned again and again on sentences, and the soup.

    python client/examples/sentences.py --programs build/release/bin

takes real film reviews, tweets and newspaper sentences with ratings (Hutto and Gilbert, 2014, from the source of
vaderSentiment 2.5, which pip downloads), trains a tokeniser and a small BERT of transformers on some reviews,
fine-tunes it with six random choices of learning rate, epochs and label smoothing, and has Stockpot make soups of
them by F1: on a held-out set, on other reviews, and on tweets and newspapers as distribution shifts. Leaves the soup
and report.html in --folder. About a minute of a processor for the training. Needs torch, transformers and
stockpot[notebook,report,torch].
"""

from __future__ import annotations

import argparse
import pathlib
import random
import subprocess
import sys
import tarfile
import tempfile

import torch
from private_server import private_server
from safetensors.torch import save_file
from tokenizers import BertWordPieceTokenizer
from torch.nn import functional as F
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from stockpot.data import tokenise
from stockpot.export import export

SOURCE = "vaderSentiment==2.5 --hash=sha256:b960c954831f5ca58afee61780cc04ed48e551b91e783bfcbfb2c18bb8081a84"
FINE_TUNES = 6
LENGTH = 32
PRETRAINING, TRAINING, HELD_OUT = 2_500, 5_500, 6_300  # where the parts of the reviews end

Rated = list[tuple[float, str]]


def fetch_text(folder: pathlib.Path) -> None:
    """The *_GroundTruth.txt files, checked by their archive's SHA-256; what is there is not fetched again."""
    if (folder / "tweets_GroundTruth.txt").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        requirement = pathlib.Path(scratch, "requirements.txt")
        requirement.write_text(SOURCE)
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-binary=:all:",
            "--no-build-isolation",
        ]
        subprocess.run([*pip, "--require-hashes", "--requirement", str(requirement), "--dest", scratch], check=True)
        (archive,) = pathlib.Path(scratch).glob("vaderSentiment-*.tar.gz")
        with tarfile.open(archive) as outer:
            inner = next(each for each in outer.getmembers() if each.name.endswith("hutto_ICWSM_2014.tar.gz"))
            with tarfile.open(fileobj=outer.extractfile(inner)) as files:
                for each in files.getmembers():
                    content = files.extractfile(each) if each.name.endswith("_GroundTruth.txt") else None
                    if content is not None:
                        (folder / pathlib.Path(each.name).name).write_bytes(content.read())


def read(path: pathlib.Path) -> Rated:
    """Rating (-4 to 4) and sentence of each line, in an order that does not change; those of rating 0 have no class."""
    lines = [line.split("\t", 2) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    rated = [(float(rating), text) for _, rating, text in lines if float(rating) != 0]
    random.Random(1).shuffle(rated)
    return rated


def make_tokenizer(rated: Rated) -> PreTrainedTokenizerFast:
    trained = BertWordPieceTokenizer(lowercase=True)
    trained.train_from_iterator([text for _, text in rated], vocab_size=1_500, show_progress=False)
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=trained._tokenizer, **special)


def make_model(vocabulary: int) -> BertForSequenceClassification:
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    return BertForSequenceClassification(
        BertConfig(vocab_size=vocabulary, max_position_embeddings=LENGTH, num_labels=2, **shape)
    )


def train(model, tokenizer, rated: Rated, rate: float, epochs: int, smoothing: float, seed: int) -> None:  # type: ignore[no-untyped-def]
    torch.manual_seed(seed)
    encoded = tokenizer(
        [text for _, text in rated], padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
    )
    labels = torch.tensor([int(rating > 0) for rating, _ in rated])
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(labels)).split(64):
            logits = model(
                input_ids=encoded["input_ids"][batch], attention_mask=encoded["attention_mask"][batch]
            ).logits
            optimiser.zero_grad()
            F.cross_entropy(logits, labels[batch], label_smoothing=smoothing).backward()
            optimiser.step()
    model.eval()


def set_up(about: str | None, default_folder: str) -> tuple[pathlib.Path, pathlib.Path, pathlib.Path]:
    """What the command line says: the programs' folder, that of the example, which has "sweep" then, the text's."""
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("--programs", type=pathlib.Path, required=True, help="the folder of stockpotd")
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path(default_folder))
    parser.add_argument(
        "--text", type=pathlib.Path, help="a folder with the *_GroundTruth.txt files (default: fetched into --folder)"
    )
    chosen = parser.parse_args()
    torch.set_num_threads(1)  # the model is small: threads would only wait for each other
    folder = chosen.folder.absolute()
    text = chosen.text or folder / "text"
    fetch_text(text)
    (folder / "sweep").mkdir(parents=True, exist_ok=True)
    return chosen.programs, folder, text


def main() -> None:
    programs, folder, text = set_up(__doc__, "sentences")
    reviews = read(text / "movieReviewSnippets_GroundTruth.txt")
    tokenizer = make_tokenizer(reviews[:TRAINING])
    torch.manual_seed(0)
    base = make_model(tokenizer.vocab_size)
    train(base, tokenizer, reviews[:PRETRAINING], 2e-3, 3, 0.0, seed=0)
    source = random.Random(0)
    for i in range(FINE_TUNES):
        rate, epochs, smoothing = 10 ** source.uniform(-3.5, -2.7), source.randint(1, 3), source.choice([0.0, 0.1])
        model = make_model(tokenizer.vocab_size)
        model.load_state_dict(base.state_dict())
        train(model, tokenizer, reviews[PRETRAINING:TRAINING], rate, epochs, smoothing, seed=i + 1)
        save_file(
            {name: each.contiguous() for name, each in model.state_dict().items()},
            folder / "sweep" / f"{i}.safetensors",
        )
        print(f"fine-tune {i + 1} of {FINE_TUNES}: learning rate {rate:.2g}, {epochs} epochs, smoothing {smoothing}")

    def save(name: str, rated: Rated):  # type: ignore[no-untyped-def]
        texts, labels = [text for _, text in rated], [int(rating > 0) for rating, _ in rated]
        return tokenise(texts, labels, tokenizer, folder / f"{name}.safetensors", length=LENGTH)

    with private_server(programs, folder) as client:
        job = client.submit(
            display_name="Sentences with opinions",
            architecture=export(base, folder / "architecture.pt"),
            ingredients=[folder / "sweep" / "*.safetensors"],
            held_out=save("held_out", reviews[TRAINING:HELD_OUT]),
            final_set=save("reviews", reviews[HELD_OUT : HELD_OUT + 800]),
            shift_sets={
                "tweets": save("tweets", read(text / "tweets_GroundTruth.txt")[:800]),
                "newspapers": save("newspapers", read(text / "nytEditorialSnippets_GroundTruth.txt")[:800]),
            },
            metric="f1-binary",
            recipe="greedy",
            comparisons=["uniform", "logit-ensemble"],
            report_every_ingredient=True,
            full_scores=True,
        )
        report = job.result(progress=True)
        job.download(folder / "soup")
        print(report)
        print(report.to_html(folder / "report.html"))


if __name__ == "__main__":
    main()
