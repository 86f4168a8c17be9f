#include "server/worker/dataset/image_geometry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "server/base/status.h"
#include "tests/server/worker/dataset/fixtures.h"

namespace stockpot {
namespace {

// "37x19" or "20".
std::vector<int> ParseSizes(const std::string& text) {
  std::vector<int> sizes;
  for (const std::string& part : std::vector<std::string>(absl::StrSplit(text, 'x'))) {
    EXPECT_TRUE(absl::SimpleAtoi(part, &sizes.emplace_back()));
  }
  return sizes;
}

// A rule as make_fixtures.py writes it: "exact:37x19:bicubic:antialias:none".
ImageGeometry ParseRule(const std::string& rule) {
  const std::vector<std::string> parts = absl::StrSplit(rule, ':');
  ImageGeometry geometry;
  const std::vector<int> sizes = ParseSizes(parts[1]);
  if (parts[0] == "side") geometry.resize_shorter_side = sizes[0];
  if (parts[0] == "exact") {
    geometry.resize_height = sizes[0];
    geometry.resize_width = sizes[1];
  }
  geometry.interpolation =
      parts[2] == "bilinear" ? Interpolation::kBilinear : Interpolation::kBicubic;
  geometry.antialias = parts[3] == "antialias";
  if (parts[4] != "none") {
    const std::vector<int> crop = ParseSizes(parts[4]);
    geometry.crop_height = crop[0];
    geometry.crop_width = crop[1];
  }
  return geometry;
}

int LargestDifference(const Image& a, const Image& b) {
  int largest = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) {
    largest = std::max(largest, std::abs(int{a.pixels[i]} - int{b.pixels[i]}));
  }
  return largest;
}

TEST(ImageGeometry, EqualsPillowExactlyAndPlainTorchvisionToOneLevel) {
  const std::map<std::string, Image> decoded = ExpectedImages("decode/");
  const std::map<std::string, Image> expected = ExpectedImages("resize/");
  ASSERT_GT(expected.size(), 40u);
  for (const auto& [name, pixels] : expected) {
    const std::vector<std::string> parts = absl::StrSplit(name, '/');
    const ImageGeometry geometry = ParseRule(parts[0]);
    ASSERT_TRUE(CheckGeometry(geometry).ok()) << name;
    const Image image = ApplyGeometry(decoded.at(parts[1]), geometry, 1'000'000).value();
    ASSERT_EQ(image.height, pixels.height) << name;
    ASSERT_EQ(image.width, pixels.width) << name;
    EXPECT_LE(LargestDifference(image, pixels), geometry.antialias ? 0 : 1) << name;
  }
}

TEST(ImageGeometry, RefusesContradictorySizes) {
  const auto geometry = [](int side, int height, int width, int crop_height, int crop_width) {
    ImageGeometry result;
    result.resize_shorter_side = side;
    result.resize_height = height;
    result.resize_width = width;
    result.crop_height = crop_height;
    result.crop_width = crop_width;
    return result;
  };
  for (const ImageGeometry& wrong :
       {geometry(-1, 0, 0, 0, 0), geometry(0, 5, 0, 0, 0), geometry(0, 0, 5, 0, 0),
        geometry(7, 5, 5, 0, 0), geometry(0, 0, 0, 5, 0), geometry(0, 0, 0, -5, -5)}) {
    const absl::Status status = CheckGeometry(wrong);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(GetErrorFacts(status).reason, "DATA_SET_INVALID");
  }
  EXPECT_TRUE(CheckGeometry({}).ok());
}

TEST(ImageGeometry, ALongStripDoesNotBecomeAHugeImage) {
  ImageGeometry geometry;
  geometry.resize_shorter_side = 1000;
  EXPECT_EQ(ApplyGeometry(Image(1, 60'000), geometry, 1'000'000).status().code(),
            absl::StatusCode::kInvalidArgument);
  geometry = {};
  geometry.crop_height = geometry.crop_width = 2'000'000'000;
  EXPECT_EQ(ApplyGeometry(Image(1, 1), geometry, 1'000'000).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace stockpot
