#include "deploy/quickstart_sweep/digits.h"

#include <cmath>
#include <fstream>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace stockpot {
namespace {

constexpr int kSide = 8;
constexpr int kPixels = kSide * kSide;
constexpr int kMaxGrey = 16;
constexpr int kTrain = 200;
constexpr int kHeldOut = 600;
constexpr uint64_t kSplitSeed = 1;

absl::Status AppendScan(const std::string& line, std::vector<float>* pixels,
                        std::vector<int64_t>* labels) {
  const std::vector<std::string> fields = absl::StrSplit(line, ',');
  if (fields.size() != kPixels + 1) return absl::InvalidArgumentError("not 64 pixels and a label");
  for (int i = 0; i <= kPixels; ++i) {
    int value;
    if (!absl::SimpleAtoi(fields[i], &value) || value < 0 || value > (i < kPixels ? kMaxGrey : 9)) {
      return absl::InvalidArgumentError(absl::StrCat("field ", i + 1, " is '", fields[i], "'"));
    }
    if (i < kPixels) {
      pixels->push_back(static_cast<float>(value) / kMaxGrey);
    } else {
      labels->push_back(value);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Digits> ReadDigits(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot open ", path));
  std::vector<float> pixels;
  std::vector<int64_t> labels;
  for (std::string line; std::getline(file, line);) {
    const absl::Status status = AppendScan(line, &pixels, &labels);
    if (!status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ", line ", labels.size() + 1, ": ", status.message()));
    }
  }
  const auto count = static_cast<int64_t>(labels.size());
  if (count <= kTrain + kHeldOut) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": only ", count, " scans"));
  }
  // The scans are in the order of their writers: without a shuffle the parts would differ in hand.
  torch::manual_seed(kSplitSeed);
  const torch::Tensor order = torch::randperm(count);
  const auto part = [&](int64_t begin, int64_t end) {
    const torch::Tensor rows = order.slice(0, begin, end);
    return Examples{torch::tensor(pixels).view({count, 1, kSide, kSide}).index_select(0, rows),
                    torch::tensor(labels).index_select(0, rows)};
  };
  return Digits{part(0, kTrain), part(kTrain, kTrain + kHeldOut), part(kTrain + kHeldOut, count)};
}

torch::Tensor Distort(const torch::Tensor& images, double degrees, double pixels, double noise) {
  const int64_t count = images.size(0);
  const auto uniform = [&](double limit) { return (torch::rand({count}) * 2 - 1) * limit; };
  const torch::Tensor angle = uniform(degrees * M_PI / 180);
  const double shift = pixels * 2 / kSide;  // an affine grid spans [-1, 1]
  const torch::Tensor rows = torch::stack({torch::cos(angle), -torch::sin(angle), uniform(shift),
                                           torch::sin(angle), torch::cos(angle), uniform(shift)},
                                          1);
  const torch::Tensor grid = torch::affine_grid_generator(rows.view({count, 2, 3}), images.sizes(),
                                                          /*align_corners=*/false);
  const torch::Tensor moved =
      torch::grid_sampler(images, grid, /*interpolation_mode=*/0, /*padding_mode=*/0,
                          /*align_corners=*/false);
  return torch::clamp(moved + noise * torch::randn_like(moved), 0, 1);
}

}  // namespace stockpot
