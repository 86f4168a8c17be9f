#include "server/worker/soup/blend_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/worker/checkpoint/content_summary.h"
#include "server/worker/checkpoint/tensor_selection.h"
#include "server/worker/soup/blend_coefficients.h"

namespace stockpot {
namespace {

using Ingredients = std::vector<std::shared_ptr<const StateDict>>;

std::vector<char> RandomBytes(size_t size, std::mt19937* random) {
  std::vector<char> bytes(size);
  // Small exponents in every format: sums of such numbers are no NaN, whose bits are free.
  for (size_t i = 0; i < size; i += 4) {
    const uint32_t four = (*random)() & 0x3F3F3F3F;
    std::memcpy(&bytes[i], &four, std::min<size_t>(4, size - i));
  }
  return bytes;
}

// Every dtype; no element, one, odd numbers, and more than a part holds.
std::vector<TensorInfo> Tensors() {
  std::vector<TensorInfo> tensors = {{"a.empty", DType::kFloat32, {0, 4}},
                                     {"b.large", DType::kFloat32, {700, 501}},
                                     {"c.large", DType::kBFloat16, {300001}},
                                     {"d.scalar", DType::kFloat32, {}},
                                     {"e.double", DType::kFloat64, {151, 1000}},
                                     {"f.half", DType::kFloat16, {77}},
                                     {"g.e5m2", DType::kFloat8E5M2, {13}},
                                     {"h.e4m3", DType::kFloat8E4M3, {4097}},
                                     {"i.steps", DType::kInt64, {}},
                                     {"j.mask", DType::kBool, {1200003}}};
  for (int i = 0; i < 50; ++i) {
    tensors.push_back({absl::StrCat("k.small.", 100 + i), DType::kFloat32, {i}});
  }
  return tensors;
}

Ingredients Models(size_t count) {
  std::mt19937 random(5);
  Ingredients models;
  for (size_t k = 0; k < count; ++k) {
    std::vector<TensorValue> values;
    for (const TensorInfo& info : Tensors()) {
      values.push_back({info, RandomBytes(info.byte_count(), &random)});
    }
    models.push_back(MakeStateDict(std::move(values)));
  }
  return models;
}

std::vector<std::string> ByTensor(const WeightBlend& blend) {
  const std::vector<TensorInfo> tensors = BlendedTensors(blend);
  std::vector<std::string> expected;
  for (size_t t = 0; t < tensors.size(); ++t) {
    expected.emplace_back(tensors[t].byte_count(), '?');
    const absl::Status status = BlendTensor(
        blend.ingredients,
        CoefficientsOfTensor(blend.coefficients, blend.ingredients.size(), tensors.size(), t), t,
        blend.dtype, absl::MakeSpan(expected[t].data(), expected[t].size()));
    EXPECT_TRUE(status.ok()) << status;
  }
  return expected;
}

// Puts parts together, and checks that they come in order, every tensor at least once.
struct Collector {
  std::vector<std::string> tensors;
  PartConsumer Consumer() {
    return [this](const TensorPart& part) {
      if (part.offset == 0) {
        EXPECT_EQ(part.tensor, tensors.size());
        tensors.emplace_back();
      }
      EXPECT_EQ(part.tensor + 1, tensors.size());
      EXPECT_EQ(part.offset, tensors.back().size());
      tensors.back().append(part.elements.data(), part.elements.size());
      return absl::OkStatus();
    };
  }
};

TEST(BlendStream, GivesTheBitsOfBlendTensorWhateverTheThreadsAndWindows) {
  const Ingredients models = Models(3);
  const std::vector<double> coefficients = {0.2, -0.5, 1.3};
  std::vector<double> by_tensor;
  for (size_t i = 0; i < 3 * Tensors().size(); ++i)
    by_tensor.push_back(0.01 * static_cast<double>(i));
  for (const auto& of : {std::vector<double>(), coefficients, by_tensor}) {
    for (const auto dtype : {std::optional<DType>(), std::optional(DType::kBFloat16)}) {
      const WeightBlend blend = {models, of, dtype};
      const std::vector<std::string> expected = ByTensor(blend);
      for (const int threads : {1, 2, 7}) {
        for (const size_t window : {size_t{50000}, size_t{1} << 30}) {
          Collector one, other;
          const absl::Status status =
              StreamBlend(blend, 0, expected.size(), {threads, window},
                          {{one.Consumer(), other.Consumer()}, {}}, Unwatched);
          ASSERT_TRUE(status.ok()) << status;
          EXPECT_TRUE(one.tensors == expected) << threads << " " << window;
          EXPECT_TRUE(other.tensors == expected) << threads << " " << window;
        }
      }
    }
  }
}

TEST(BlendStream, OneIngredientIsItself) {
  const Ingredients model = Models(1);
  Collector soup;
  ASSERT_TRUE(
      StreamBlend({model, {}, {}}, 0, Tensors().size(), {}, {{soup.Consumer()}, {}}, Unwatched)
          .ok());
  for (size_t t = 0; t < Tensors().size(); ++t) {
    std::vector<char> scratch;
    const auto elements = *model[0]->Read(t, &scratch);
    EXPECT_EQ(soup.tensors[t], std::string(elements.begin(), elements.end())) << t;
  }
}

TEST(BlendStream, GivesEachIngredientAsItIsStored) {
  const Ingredients models = Models(3);
  for (const size_t window : {size_t{1000}, size_t{16} << 20}) {
    std::vector<ContentSummarizer> contents(3);
    BlendConsumers consumers;
    for (size_t k = 0; k < 3; ++k) {
      consumers.ingredients.push_back([&, k](const TensorPart& part) {
        contents[k].AddPart(models[k]->tensors()[part.tensor], part.offset, part.elements);
        return absl::OkStatus();
      });
    }
    ASSERT_TRUE(StreamBlend({models, {}, DType::kFloat16}, 0, Tensors().size(), {3, window},
                            consumers, Unwatched)
                    .ok());
    for (size_t k = 0; k < 3; ++k) {
      EXPECT_EQ(contents[k].Finish().digest, SummarizeContent(*models[k])->digest) << k;
    }
  }
}

TEST(BlendStream, StreamsARangeAndCountsItsTensors) {
  const Ingredients models = Models(2);
  std::vector<int64_t> told;
  std::vector<size_t> seen;
  const absl::Status status = StreamBlend({models, {}, {}}, 3, 9, {2, 4096},
                                          {{[&](const TensorPart& part) {
                                             if (part.offset == 0) seen.push_back(part.tensor);
                                             return absl::OkStatus();
                                           }},
                                           {}},
                                          [&](int64_t done, int64_t total) {
                                            EXPECT_EQ(total, 6);
                                            told.push_back(done);
                                            return absl::OkStatus();
                                          });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(seen, testing::ElementsAre(3, 4, 5, 6, 7, 8));
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_EQ(told.back(), 6);
}

TEST(BlendStream, EndsWithTheErrorOfAConsumerOrOfProgress) {
  const Ingredients models = Models(2);
  const PartConsumer full = [](const TensorPart& part) {
    return part.tensor == 4 ? absl::ResourceExhaustedError("full") : absl::OkStatus();
  };
  EXPECT_EQ(StreamBlend({models, {}, {}}, 0, 9, {2, 4096}, {{full}, {}}, Unwatched).message(),
            "full");
  EXPECT_EQ(StreamBlend({models, {}, {}}, 0, 9, {2, 4096}, {},
                        [](int64_t, int64_t) { return absl::CancelledError("enough"); })
                .message(),
            "enough");
}

// As a file that was cut short.
class Unreadable final : public StateDict {
 public:
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  absl::StatusOr<absl::Span<const char>> Read(size_t, std::vector<char>*) const override {
    return absl::DataLossError("ends early");
  }
  absl::string_view format() const override { return "memory"; }
  const std::vector<std::string>& notes() const override { return notes_; }

 private:
  const std::vector<TensorInfo> tensors_ = Tensors();
  const std::vector<std::string> notes_ = {};
};

TEST(BlendStream, NamesTheTensorThatCannotBeRead) {
  Ingredients models = Models(1);
  models.push_back(std::make_shared<Unreadable>());
  const absl::Status status = StreamBlend({models, {}, {}}, 1, 2, {}, {}, Unwatched);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(status.message(), "tensor 'b.large': ends early");
}

TEST(BlendStream, RefusesWhatMakesNoSense) {
  const Ingredients models = Models(2);
  const size_t count = Tensors().size();
  const std::vector<double> three = {1, 2, 3};
  const PartConsumer none = [](const TensorPart&) { return absl::OkStatus(); };
  for (const absl::Status& status :
       {StreamBlend({{}, {}, {}}, 0, 0, {}, {}, Unwatched),
        StreamBlend({models, {}, {}}, 0, count + 1, {}, {}, Unwatched),
        StreamBlend({models, {}, {}}, 0, count, {1, 0}, {}, Unwatched),
        StreamBlend({models, three, {}}, 0, count, {}, {}, Unwatched),
        StreamBlend({models, {}, {}}, 0, count, {}, {{}, {none}}, Unwatched)}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  }
}

}  // namespace
}  // namespace stockpot
