// Texts of differing length: every example is scored as if it were alone, whatever runs beside it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/status.h"
#include "server/worker/evaluation/batch_plan.h"
#include "server/worker/evaluation/learning.h"
#include "tests/server/worker/evaluation/linear_models.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Text {
  std::vector<int64_t> tokens;
  std::vector<int64_t> next;  // of a language model
  int64_t label = 0;
};

// Lengths from 1 to 60, short ones more often.
std::vector<Text> DrawTexts(int count, int64_t vocabulary) {
  std::mt19937 random(4);
  std::vector<Text> texts(static_cast<size_t>(count));
  for (Text& text : texts) {
    const auto length = 1 + random() % (random() % 3 == 0 ? 60 : 12);
    for (unsigned i = 0; i < length; ++i) {
      text.tokens.push_back(static_cast<int64_t>(random()) % vocabulary);
      text.next.push_back(random() % 4 == 0 ? kIgnoredToken
                                            : static_cast<int64_t>(random()) % vocabulary);
    }
    text.next[0] = 0;
    text.label = static_cast<int64_t>(random()) % 3;
  }
  return texts;
}

// To the argument of its own name.
InputBinding Bind(const std::string& name) {
  return {.data_set_input = name, .argument = name, .mean = {}, .std = {}};
}

class TextTest : public testing::Test {
 protected:
  // As JSON lines, with the label, or the tokens to predict.
  std::shared_ptr<const DataSet> Write(absl::Span<const Text> texts, bool predict = false,
                                       bool with_mask = false) {
    DataSetSource source;
    source.kind = DataSetSource::Kind::kJsonLines;
    source.path = folder_ / absl::StrCat(++files_, ".jsonl");
    std::ofstream file(source.path);
    for (const Text& text : texts) {
      file << "{\"input_ids\": [" << absl::StrJoin(text.tokens, ",") << "], ";
      if (with_mask) {
        file << "\"attention_mask\": ["
             << absl::StrJoin(std::vector<int64_t>(text.tokens.size(), 1), ",") << "], ";
      }
      file << "\"labels\": ";
      if (predict) {
        file << "[" << absl::StrJoin(text.next, ",") << "]}\n";
      } else {
        file << text.label << "}\n";
      }
    }
    file.close();
    auto data_set = OpenDataSet(source, folder_ / "cache", {});
    EXPECT_TRUE(data_set.ok()) << data_set.status();
    return *data_set;
  }

  static MeasureOptions Options(int batch_size, Problem problem = Problem::kClassification) {
    MeasureOptions options;
    options.inputs = {Bind("input_ids")};
    options.outputs.problem = problem;
    options.batch_size = batch_size;
    return options;
  }

  // The outputs by example.
  static std::vector<std::vector<float>> Run(Runner* runner, const DataSet& data_set,
                                             const MeasureOptions& options) {
    std::vector<std::vector<float>> outputs(static_cast<size_t>(data_set.size()));
    const absl::Status ran = runner->Run(data_set, options, [&](const OutputBatch& batch) {
      const auto classes = static_cast<size_t>(batch.classes);
      for (size_t i = 0; i < static_cast<size_t>(batch.count); ++i) {
        const absl::Span<const float> own = batch.values.subspan(i * classes, classes);
        std::vector<float>& output = outputs[static_cast<size_t>(batch.examples[i])];
        EXPECT_TRUE(output.empty()) << "twice";
        output.assign(own.begin(), own.end());
      }
      return absl::OkStatus();
    });
    EXPECT_TRUE(ran.ok()) << ran;
    return outputs;
  }

  // The texts' measurements, each in a data set of its own.
  std::vector<Measurement> Alone(Runner* runner, absl::Span<const Text> texts,
                                 Problem problem = Problem::kClassification) {
    std::vector<Measurement> alone;
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto one = Write(texts.subspan(i, 1), problem == Problem::kLanguageModel);
      const auto found = runner->Measure(*one, Options(1, problem));
      EXPECT_TRUE(found.ok()) << found.status();
      alone.push_back(*found);
    }
    return alone;
  }

  TemporaryFolder folder_;
  int files_ = 0;
};

std::vector<int64_t> Shuffled(int64_t count, unsigned seed) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(seed));
  return order;
}

TEST_F(TextTest, ScoresAreThoseOfEveryExampleAlone) {
  const std::vector<Text> texts = DrawTexts(60, 16);
  for (const char* const model : {"text.pt", "unmasked_text.pt"}) {
    const auto runner = Load(model);
    const std::vector<Measurement> alone = Alone(runner.get(), texts);
    for (const int batch_size : {1, 7, 250}) {
      SCOPED_TRACE(absl::StrCat(model, ", batches of ", batch_size));
      const auto found = runner->Measure(*Write(texts), Options(batch_size));
      ASSERT_TRUE(found.ok()) << found.status();
      ASSERT_EQ(found->example_count, 60);
      int64_t top1 = 0;
      double loss = 0;
      for (size_t i = 0; i < texts.size(); ++i) {
        top1 += alone[i].top1_correct;
        loss += alone[i].cross_entropy_sum;
        EXPECT_NEAR(found->margins[i], alone[i].margins[0], 1e-5) << i;
      }
      EXPECT_EQ(found->top1_correct, top1);
      EXPECT_NEAR(found->cross_entropy_sum, loss, 60 * 1e-5);
    }
  }
}

TEST_F(TextTest, AnyOrderGivesTheSameBits) {
  const auto data_set = Write(DrawTexts(100, 16));
  for (const char* const model : {"text.pt", "unmasked_text.pt"}) {
    const auto runner = Load(model);
    MeasureOptions options = Options(9);
    const auto expected = Run(runner.get(), *data_set, options);
    for (unsigned seed = 0; seed < 5; ++seed) {
      const std::vector<int64_t> order = Shuffled(data_set->size(), seed);
      options.order = order;
      EXPECT_EQ(Run(runner.get(), *data_set, options), expected) << model;
    }
  }
}

TEST_F(TextTest, AMaskOfTheFileIsTheOneThatIsMade) {
  const std::vector<Text> texts = DrawTexts(50, 16);
  const auto runner = Load("text.pt");
  MeasureOptions options = Options(8);
  const auto made = Run(runner.get(), *Write(texts), options);
  options.inputs.push_back(Bind("attention_mask"));
  EXPECT_EQ(Run(runner.get(), *Write(texts, false, true), options), made);
}

TEST_F(TextTest, ALanguageModelCountsTheTokensOfEveryExampleAlone) {
  const std::vector<Text> texts = DrawTexts(60, 3);
  const auto runner = Load("bigram.pt");
  std::vector<float> weight(9);
  for (size_t i = 0; i < weight.size(); ++i) weight[i] = Weight(0, i, i);
  const Ingredients ingredients = {MakeStateDict({Tensor("embedding.weight", {3, 3}, weight)})};
  ASSERT_TRUE(runner->SetWeights(ingredients, {}, std::nullopt).ok());
  const std::vector<Measurement> alone = Alone(runner.get(), texts, Problem::kLanguageModel);
  Measurement sum;
  std::vector<float> margins;
  for (const Measurement& one : alone) {
    sum.example_count += one.example_count;
    sum.top1_correct += one.top1_correct;
    sum.cross_entropy_sum += one.cross_entropy_sum;
    margins.insert(margins.end(), one.margins.begin(), one.margins.end());
  }
  const auto data_set = Write(texts, true);
  MeasureOptions options = Options(7, Problem::kLanguageModel);
  const std::vector<int64_t> order = Shuffled(data_set->size(), 3);
  for (const bool shuffled : {false, true}) {
    if (shuffled) options.order = order;
    const auto found = runner->Measure(*data_set, options);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->example_count, sum.example_count);
    EXPECT_EQ(found->top1_correct, sum.top1_correct);
    EXPECT_EQ(found->margins, margins);
    EXPECT_NEAR(found->cross_entropy_sum, sum.cross_entropy_sum, 1e-9);
  }
}

TEST_F(TextTest, LearningPadsAndMasks) {
  std::vector<Text> texts = DrawTexts(12, 16);
  const auto runner = Load("text.pt");
  Ingredients ingredients;
  for (int k = 0; k < 2; ++k) {
    std::vector<TensorValue> tensors;
    for (const TensorInfo& info : runner->tensors()) {
      std::vector<float> values(static_cast<size_t>(info.element_count()));
      for (size_t i = 0; i < values.size(); ++i) values[i] = Weight(static_cast<size_t>(k), i, 3);
      tensors.push_back(Tensor(info.name, info.shape, values));
    }
    ingredients.push_back(MakeStateDict(std::move(tensors)));
  }
  LearningOptions options;
  options.inputs = Options(1).inputs;
  options.batch_size = 5;
  const LearnedEpoch learned = Learn(runner.get(), ingredients, *Write(texts), options);

  // The same, padded to 60 beforehand.
  std::vector<int64_t> ids(texts.size() * 60), mask(texts.size() * 60), labels;
  for (size_t i = 0; i < texts.size(); ++i) {
    std::copy(texts[i].tokens.begin(), texts[i].tokens.end(),
              ids.begin() + static_cast<std::ptrdiff_t>(i * 60));
    std::fill_n(mask.begin() + static_cast<std::ptrdiff_t>(i * 60), texts[i].tokens.size(), 1);
    labels.push_back(texts[i].label);
  }
  const auto count = static_cast<int64_t>(texts.size());
  const MemoryDataSet padded({MakeTensor("input_ids", DType::kInt64, {count, 60}, ids),
                              MakeTensor("attention_mask", DType::kInt64, {count, 60}, mask)},
                             labels);
  options.inputs.push_back(Bind("attention_mask"));
  const LearnedEpoch expected = Learn(runner.get(), ingredients, padded, options);
  ASSERT_EQ(learned.coefficients.size(), expected.coefficients.size());
  for (size_t k = 0; k < learned.coefficients.size(); ++k) {
    EXPECT_NEAR(learned.coefficients[k], expected.coefficients[k], 1e-5);
  }
  EXPECT_NEAR(learned.mean_loss, expected.mean_loss, 1e-5);
}

TEST_F(TextTest, WithoutAMaskNothingIsLearnedFromTheUnlike) {
  const auto runner = Load("unmasked_text.pt");
  LearningOptions options;
  options.inputs = Options(1).inputs;
  const Ingredients ingredients = {
      MakeStateDict({Tensor("embedding.weight", {16, 3}, std::vector<float>(48))})};
  const absl::Status status =
      runner->LearnEpoch(ingredients, *Write(DrawTexts(12, 16)), options).status();
  EXPECT_EQ(GetErrorFacts(status).reason, "MODEL_INPUT_MISMATCH") << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("attention_mask"));
}

// ---- BatchPlan ----

// Only lengths.
class Lengths final : public DataSet {
 public:
  explicit Lengths(std::vector<int64_t> lengths) : lengths_(std::move(lengths)) {}
  int64_t size() const override { return static_cast<int64_t>(lengths_.size()); }
  const std::vector<InputInfo>& inputs() const override { return inputs_; }
  int64_t length(int64_t i) const override { return lengths_[static_cast<size_t>(i)]; }
  absl::Span<const int64_t> labels() const override { return {}; }
  int64_t class_count() const override { return 0; }
  const std::vector<std::string>& class_names() const override { return names_; }
  const char* example(size_t, int64_t) const override { return nullptr; }
  const std::string& digest() const override { return digest_; }

 private:
  const std::vector<int64_t> lengths_;
  const std::vector<InputInfo> inputs_;
  const std::vector<std::string> names_;
  const std::string digest_;
};

TEST(BatchPlan, RunsEveryExampleOnceInTheShapeThatTheDataSetSays) {
  std::mt19937 random(8);
  for (int round = 0; round < 300; ++round) {
    std::vector<int64_t> lengths(1 + random() % 400);
    const auto longest = 1 + random() % 500;
    for (int64_t& length : lengths) length = 1 + static_cast<int64_t>(random() % longest);
    const Lengths data_set(lengths);
    const auto batch_size = static_cast<int64_t>(1 + random() % 64);
    const bool pads = round % 2 == 0;
    const auto most_rows = [&](int64_t example, int64_t length) {
      EXPECT_LE(lengths[static_cast<size_t>(example)], length);
      return round % 3 == 0 ? 1 + length % 7 : BatchPlan::AnyRows(example, length);
    };
    std::vector<std::pair<int64_t, int64_t>> shapes(lengths.size());
    for (unsigned seed = 0; seed < 3; ++seed) {
      const std::vector<int64_t> order = Shuffled(data_set.size(), seed);
      const BatchPlan plan(data_set, order, batch_size, pads, most_rows);
      std::vector<int> seen(lengths.size());
      for (const BatchPlan::Batch& batch : plan.batches()) {
        ASSERT_FALSE(batch.examples.empty());
        ASSERT_LE(static_cast<int64_t>(batch.examples.size()), batch.rows);
        ASSERT_LE(batch.rows, std::min(batch_size, most_rows(batch.examples[0], batch.length)));
        for (const int64_t example : batch.examples) {
          const auto i = static_cast<size_t>(example);
          ++seen[i];
          ASSERT_TRUE(pads ? lengths[i] <= batch.length : lengths[i] == batch.length);
          const std::pair<int64_t, int64_t> shape(batch.rows, batch.length);
          if (seed == 0) shapes[i] = shape;
          ASSERT_EQ(shapes[i], shape) << "another order, another shape";
        }
      }
      ASSERT_EQ(std::count(seen.begin(), seen.end(), 1), data_set.size());
    }
  }
}

TEST(BatchPlan, LittleOfItIsPadding) {
  std::mt19937 random(9);
  std::vector<int64_t> lengths(20'000);
  for (int64_t& length : lengths) length = 8 + static_cast<int64_t>(random() % 505);
  const Lengths data_set(lengths);
  int64_t run = 0;
  const BatchPlan plan(data_set, {}, 64, true);
  for (const BatchPlan::Batch& batch : plan.batches()) run += batch.rows * batch.length;
  const int64_t needed = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
  EXPECT_LT(static_cast<double>(run), 1.15 * static_cast<double>(needed));
}

TEST(BatchPlan, KeepsTheOrderAmongExamplesAlike) {
  const Lengths data_set({5, 40, 6, 41, 5, 42});
  const std::vector<int64_t> order = {5, 4, 3, 2, 1, 0};
  const BatchPlan plan(data_set, order, 3, true);
  ASSERT_EQ(plan.batches().size(), 2u);
  EXPECT_THAT(plan.batches()[0].examples, ElementsAre(5, 3, 1));
  EXPECT_EQ(plan.batches()[0].length, 42);
  EXPECT_THAT(plan.batches()[1].examples, ElementsAre(4, 2, 0));
  EXPECT_EQ(plan.batches()[1].length, 6);
}

}  // namespace
}  // namespace stockpot
