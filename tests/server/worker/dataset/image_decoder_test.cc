#include "server/worker/dataset/image_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "server/base/status.h"
#include "tests/server/worker/dataset/fixtures.h"

namespace stockpot {
namespace {

using testing::HasSubstr;

constexpr uint64_t kMaxPixels = 1'000'000;

TEST(ImageDecoder, GivesThePixelsThatPillowGives) {
  const std::map<std::string, Image> expected = ExpectedImages("decode/");
  ASSERT_GT(expected.size(), 30u);
  for (const auto& [name, pixels] : expected) {
    const absl::StatusOr<Image> image = DecodeImage(ReadFixture(name), kMaxPixels);
    ASSERT_TRUE(image.ok()) << name << ": " << image.status();
    EXPECT_EQ(image->height, pixels.height) << name;
    EXPECT_EQ(image->width, pixels.width) << name;
    EXPECT_TRUE(image->pixels == pixels.pixels) << name;
  }
}

TEST(ImageDecoder, RefusesATruncatedImageWhereverItEnds) {
  for (const char* name :
       {"420.jpg", "progressive.jpg", "cmyk.jpg", "grey.jpg", "rgb.png", "interlaced.png",
        "grey16.png", "lossy.webp", "lossless.webp", "lossy_alpha.webp", "lossless_alpha.webp"}) {
    const std::string encoded = ReadFixture(name);
    for (size_t size = 0; size < encoded.size(); ++size) {
      const absl::StatusOr<Image> image = DecodeImage(encoded.substr(0, size), kMaxPixels);
      ASSERT_EQ(image.status().code(), absl::StatusCode::kInvalidArgument) << name << " " << size;
      EXPECT_EQ(GetErrorFacts(image.status()).reason, "IMAGE_UNREADABLE");
    }
  }
}

TEST(ImageDecoder, SurvivesEveryFlippedByte) {
  for (const char* name : {"420.jpg", "progressive.jpg", "cmyk.jpg", "palette_transparent.png",
                           "interlaced.png", "lossy_alpha.webp", "lossless.webp"}) {
    const std::string original = ReadFixture(name);
    for (size_t i = 0; i < original.size(); ++i) {
      std::string encoded = original;
      encoded[i] = static_cast<char>(~encoded[i]);
      const absl::StatusOr<Image> image = DecodeImage(encoded, kMaxPixels);
      if (image.ok()) {
        EXPECT_EQ(image->pixels.size(), image->row_size() * static_cast<size_t>(image->height));
      }
    }
  }
}

TEST(ImageDecoder, SaysWhatIsNoImage) {
  for (const char* text : {"", "hello", "GIF89a", "RIFF\x10", "\xff\xd8"}) {
    const absl::Status status = DecodeImage(text, kMaxPixels).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_EQ(GetErrorFacts(status).reason, "IMAGE_UNREADABLE") << text;
  }
  const std::pair<std::string, const char*> known[] = {
      {"GIF89a", "but a GIF image"},
      {std::string("MM\0*", 4), "but a TIFF image"},
      {std::string("\0\0\0\x1c", 4) + "ftypheic", "but a HEIC image"},
      {"\n<!DOCTYPE HTML>", "but a web page"},
      {"version https://git-lfs.github.com/spec/v1\n", "but a Git LFS pointer"}};
  for (const auto& [bytes, what] : known) {
    EXPECT_THAT(std::string(DecodeImage(bytes, kMaxPixels).status().message()), HasSubstr(what));
  }
}

TEST(ImageDecoder, RefusesDeclaredSizesBeforeDecoding) {
  std::string jpeg = ReadFixture("420.jpg");
  const size_t frame = jpeg.find("\xff\xc0");
  jpeg.replace(frame + 5, 4, "\xfd\xe8\xfd\xe8");  // height and width: 65000
  std::string webp = ReadFixture("lossy.webp");
  const size_t start = webp.find("\x9d\x01\x2a");
  webp.replace(start + 3, 4, "\xff\x3f\xff\x3f");
  for (const std::string& bomb : {jpeg, webp}) {
    const absl::Status status = DecodeImage(bomb, 178'956'970).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(GetErrorFacts(status).reason, "IMAGE_UNREADABLE");
  }
  // A PNG's header has a sum of its own, so the limit is lowered instead.
  EXPECT_EQ(DecodeImage(ReadFixture("rgb.png"), 13 * 17 - 1).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(DecodeImage(ReadFixture("rgb.png"), 13 * 17).ok());
}

}  // namespace
}  // namespace stockpot
