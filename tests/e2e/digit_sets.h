// One real data set in every format: 300 handwritten digits, and three nearest-mean classifiers of
// other 300. Thread safety: thread-compatible.
#ifndef STOCKPOT_TESTS_E2E_DIGIT_SETS_H_
#define STOCKPOT_TESTS_E2E_DIGIT_SETS_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "stockpot/v1/spec.pb.h"
#include "tests/support/data_set_writer/data_set_writer.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {

class DigitSets {
 public:
  static constexpr int kSide = 8, kPixels = kSide * kSide, kClasses = 10;
  static constexpr size_t kExamples = 300;

  struct Digit {
    std::vector<uint8_t> pixels;  // 0 to 240
    int64_t label = 0;
  };

  // Writes all of them into its folder.
  DigitSets() : digits_(ReadDigits()) {
    EXPECT_EQ(digits_.size(), 2 * kExamples);
    const std::vector<Digit> train(digits_.begin() + kExamples, digits_.end());
    for (size_t i = 0; i < 3; ++i) WriteClassifier(train, i);
    digits_.resize(kExamples);
    // In the order that a folder of classes has.
    std::stable_sort(digits_.begin(), digits_.end(),
                     [](const Digit& a, const Digit& b) { return a.label < b.label; });
    WriteEveryFormat(digits_);
  }

  const std::string& folder() const { return folder_.path(); }
  std::string Path(const std::string& name) const { return folder_ / name; }
  // In the order of the examples.
  const std::vector<Digit>& digits() const { return digits_; }

  struct Source {
    std::string uri;
    v1::DataSet::Format format = v1::DataSet::FORMAT_UNSPECIFIED;
    std::string split = "";
  };
  static std::vector<Source> Sources() {
    return {{"folder"},
            {"folder/list.csv"},
            {"folder/list.jsonl"},
            {"shards/digits-{000..001}.tar"},
            {"hub", v1::DataSet::PARQUET, "test"},
            {"digits.safetensors"},
            {"digits.npz"},
            {"arrays", v1::DataSet::NUMPY}};
  }

  // Below `where`, which ends in "/".
  static v1::DataSet DataSetOf(const Source& source, const std::string& where) {
    v1::DataSet set;
    set.set_uri(where + source.uri);
    set.set_format(source.format);
    set.set_split(source.split);
    return set;
  }

  v1::JobSpec Spec(const v1::DataSet& held_out) const {
    v1::JobSpec spec;
    spec.mutable_model()->set_architecture_uri(
        std::filesystem::absolute("tests/support/models/digits.pt").string());
    v1::InputBinding* input = spec.mutable_model()->add_inputs();
    input->set_data_set_input("images");
    input->set_scale_to_unit(true);
    for (size_t i = 0; i < 3; ++i) {
      spec.add_ingredients()->set_uri(Path(absl::StrCat("model_", i, ".safetensors")));
    }
    *spec.mutable_evaluation()->mutable_held_out() = held_out;
    spec.mutable_compute()->set_measure_again(true);  // or the first format's facts would do
    return spec;
  }

 private:
  static std::vector<Digit> ReadDigits() {
    std::ifstream file("tests/support/digits/digits.txt");
    std::vector<Digit> digits;
    for (std::string pixels; file >> pixels;) {
      Digit& digit = digits.emplace_back();
      for (const char c : pixels) digit.pixels.push_back(static_cast<uint8_t>((c - 'a') * 15));
      file >> digit.label;
    }
    return digits;
  }

  static std::vector<std::string> ClassNames() {
    std::vector<std::string> names;
    for (int i = 0; i < kClasses; ++i) names.push_back(absl::StrCat(i));
    return names;
  }

  // The logit of a class is the dot product with its mean, less half the mean's square; each
  // classifier saw another third of the examples.
  void WriteClassifier(const std::vector<Digit>& train, size_t part) const {
    std::vector<float> weight(kClasses * 3 * kPixels), bias(kClasses);
    std::array<float, kClasses> counts = {};
    for (size_t i = part; i < train.size(); i += 3)
      counts[static_cast<size_t>(train[i].label)] += 1;
    for (size_t i = part; i < train.size(); i += 3) {
      const auto label = static_cast<size_t>(train[i].label);
      for (size_t j = 0; j < 3 * kPixels; ++j) {
        weight[label * 3 * kPixels + j] +=
            static_cast<float>(train[i].pixels[j % kPixels]) / 255 / counts[label];
      }
    }
    for (size_t j = 0; j < weight.size(); ++j) {
      bias[j / (3 * kPixels)] -= weight[j] * weight[j] / 2;
    }
    WriteSafetensors(Path(absl::StrCat("model_", part, ".safetensors")),
                     {MakeTensor("bias", DType::kFloat32, {kClasses}, bias),
                      MakeTensor("weight", DType::kFloat32, {kClasses, 3 * kPixels}, weight)});
  }

  void WriteEveryFormat(const std::vector<Digit>& digits) const {
    std::vector<std::string> pngs;
    std::vector<int64_t> labels;
    std::vector<uint8_t> planes;
    NamedBytes members;
    std::string csv = "file_name,label\n", json_lines;
    for (size_t i = 0; i < digits.size(); ++i) {
      const Digit& digit = digits[i];
      pngs.push_back(EncodeGreyPng(digit.pixels, kSide, kSide));
      labels.push_back(digit.label);
      for (int channel = 0; channel < 3; ++channel) {
        planes.insert(planes.end(), digit.pixels.begin(), digit.pixels.end());
      }
      const std::string name = absl::StrFormat("%d/%04d.png", digit.label, i);
      WriteBytes(Path("folder/" + name), pngs.back());
      absl::StrAppend(&csv, name, ",", digit.label, "\n");
      absl::StrAppend(&json_lines, "{\"path\": \"", name, "\", \"label\": ", digit.label, "}\n");
      members.emplace_back(absl::StrFormat("%06d.png", i), pngs.back());
      members.emplace_back(absl::StrFormat("%06d.cls", i), absl::StrCat(digit.label));
    }
    WriteBytes(Path("folder/list.csv"), csv);
    WriteBytes(Path("folder/list.jsonl"), json_lines);
    const auto middle = members.begin() + 240;
    WriteBytes(Path("shards/digits-000.tar"), Tar({members.begin(), middle}));
    WriteBytes(Path("shards/digits-001.tar"), Tar({middle, members.end()}));
    WriteParquets(pngs, labels);
    WriteTensors(labels, planes);
  }

  void WriteParquets(const std::vector<std::string>& pngs,
                     const std::vector<int64_t>& labels) const {
    std::filesystem::create_directories(Path("hub/data"));
    for (const size_t shard : {0u, 1u}) {
      const size_t begin = shard * 170, end = shard == 0 ? 170 : pngs.size();
      const auto at = [](const auto& all, size_t i) {
        return all.begin() + static_cast<ptrdiff_t>(i);
      };
      WriteParquet(Path(absl::StrFormat("hub/data/test-%05d-of-00002.parquet", shard)),
                   {.images = {{"image", {at(pngs, begin), at(pngs, end)}}},
                    .numbers = {{"label", {at(labels, begin), at(labels, end)}}},
                    .huggingface = HuggingFaceFeatures(ClassNames()),
                    .rows_per_group = 64});
    }
  }

  void WriteTensors(const std::vector<int64_t>& labels, const std::vector<uint8_t>& planes) const {
    constexpr auto kCount = static_cast<int64_t>(kExamples);
    WriteSafetensors(Path("digits.safetensors"),
                     {MakeTensor("images", DType::kUint8, {kCount, 3, kSide, kSide}, planes),
                      MakeTensor("labels", DType::kInt64, {kCount}, labels)});
    const std::string image_bytes(planes.begin(), planes.end());
    const std::string label_bytes(reinterpret_cast<const char*>(labels.data()), 8 * labels.size());
    const std::string images = Npy("|u1", absl::StrCat("(", kExamples, ", 3, 8, 8)"), image_bytes);
    const std::string numbers = Npy("<i8", absl::StrCat("(", kExamples, ",)"), label_bytes);
    WriteBytes(Path("digits.npz"), StoredZip({{"images.npy", images}, {"labels.npy", numbers}}));
    WriteBytes(Path("arrays/images.npy"), images);
    WriteBytes(Path("arrays/labels.npy"), numbers);
  }

  const TemporaryFolder folder_;
  std::vector<Digit> digits_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_E2E_DIGIT_SETS_H_
