// How fast images are decoded, beside libjpeg-turbo alone, and how long a data set of them takes to
// open. For image_ratio, or by hand:
//
//   decode_speed SCRATCH_FOLDER [--images N] [--round N]
//
// Makes SCRATCH_FOLDER/images/{even,odd}/N.jpg where they are not: 500 × 375 pixels of smooth
// colour under noise, quality 90, about 95 KB each, as photographs are. Then, in an order that
// turns with the round, on as many threads as there are cores:
//
//   own    DecodeImage() of each, out of memory
//   bare   libjpeg-turbo's own calls, with the same settings, into a buffer that is there already
//   open   OpenDataSet() of the folder with an empty cache: files read, decoded, shorter side to
//   256,
//          the middle 224², written and synced, summed
//
// Prints a line of JSON: seconds of each, and those of processors, all threads.

#include <cstddef>
#include <cstdio>
// jpeglib.h needs size_t and FILE to be declared.
#include <jpeglib.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "server/base/parallel.h"
#include "server/worker/dataset/data_set.h"
#include "server/worker/dataset/image_decoder.h"
#include "tests/bench/bench.h"

namespace stockpot {
namespace {

constexpr unsigned kWidth = 500, kHeight = 375, kChannels = 3;
constexpr int kQuality = 90;
constexpr uint64_t kMaxPixels = 1 << 24;

struct Flags {
  std::string scratch;
  int images = 500, round = 0;
};

std::string Encode(int seed) {
  std::minstd_rand random(static_cast<unsigned>(seed) + 1);
  std::vector<uint8_t> pixels(size_t{kWidth} * kHeight * kChannels);
  for (size_t i = 0; i < pixels.size(); ++i) {
    const auto x = static_cast<double>(i / kChannels % kWidth),
               y = static_cast<double>(i / kChannels / kWidth);
    const double colour = 100 + 60 *
                                    std::sin((x + seed) / 41 + static_cast<double>(i % kChannels)) *
                                    std::cos(y / 29);
    pixels[i] = static_cast<uint8_t>(colour + static_cast<double>(random() % 40));
  }
  jpeg_compress_struct encoder = {};
  jpeg_error_mgr errors = {};
  encoder.err = jpeg_std_error(&errors);
  jpeg_create_compress(&encoder);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&encoder, &bytes, &size);
  encoder.image_width = kWidth;
  encoder.image_height = kHeight;
  encoder.input_components = kChannels;
  encoder.in_color_space = JCS_RGB;
  jpeg_set_defaults(&encoder);
  jpeg_set_quality(&encoder, kQuality, TRUE);
  jpeg_start_compress(&encoder, TRUE);
  while (encoder.next_scanline < kHeight) {
    JSAMPROW row = pixels.data() + size_t{encoder.next_scanline} * kWidth * kChannels;
    jpeg_write_scanlines(&encoder, &row, 1);
  }
  jpeg_finish_compress(&encoder);
  jpeg_destroy_compress(&encoder);
  std::string encoded(reinterpret_cast<const char*>(bytes), size);
  std::free(bytes);
  return encoded;
}

// Errors end the program: the files are those that were made here.
void BareDecode(const std::string& encoded, std::vector<uint8_t>* pixels) {
  jpeg_decompress_struct decoder = {};
  jpeg_error_mgr errors = {};
  decoder.err = jpeg_std_error(&errors);
  jpeg_create_decompress(&decoder);
  jpeg_mem_src(&decoder, reinterpret_cast<const unsigned char*>(encoded.data()),
               static_cast<unsigned long>(encoded.size()));
  jpeg_read_header(&decoder, TRUE);
  decoder.out_color_space = JCS_RGB;
  jpeg_start_decompress(&decoder);
  pixels->resize(size_t{decoder.output_width} * decoder.output_height * kChannels);
  while (decoder.output_scanline < decoder.output_height) {
    JSAMPROW row =
        pixels->data() + size_t{decoder.output_scanline} * decoder.output_width * kChannels;
    jpeg_read_scanlines(&decoder, &row, 1);
  }
  jpeg_finish_decompress(&decoder);
  jpeg_destroy_decompress(&decoder);
}

std::vector<std::string> MakeImages(const Flags& flags) {
  std::vector<std::string> images(static_cast<size_t>(flags.images));
  for (const char* const name : {"even", "odd"}) {
    std::filesystem::create_directories(absl::StrCat(flags.scratch, "/images/", name));
  }
  Require(ForEachInParallel(images.size(), [&](size_t i) -> absl::Status {
    const std::string path =
        absl::StrCat(flags.scratch, "/images/", i % 2 == 0 ? "even/" : "odd/", i, ".jpg");
    if (std::filesystem::exists(path)) {
      images[i] = OrDie(ReadSmallFile(path, 1 << 20));
      return absl::OkStatus();
    }
    images[i] = Encode(static_cast<int>(i));
    std::ofstream(path, std::ios::binary) << images[i];
    return absl::OkStatus();
  }));
  return images;
}

void OpenFolder(const Flags& flags) {
  const std::string cache = absl::StrCat(flags.scratch, "/cache");
  std::filesystem::remove_all(cache);
  DataSetSource source;
  source.path = absl::StrCat(flags.scratch, "/images");
  source.geometry.resize_shorter_side = 256;
  source.geometry.crop_height = source.geometry.crop_width = 224;
  OrDie(OpenDataSet(source, cache, {}));
}

int Run(const Flags& flags) {
  const std::vector<std::string> images = MakeImages(flags);
  const auto each = [&](const std::function<void(const std::string&)>& decode) {
    Require(ForEachInParallel(images.size(), [&](size_t i) {
      decode(images[i]);
      return absl::OkStatus();
    }));
  };
  Ways ways = {
      {"own",
       [&] { each([](const std::string& image) { OrDie(DecodeImage(image, kMaxPixels)); }); }},
      {"bare",
       [&] {
         each([](const std::string& image) {
           thread_local std::vector<uint8_t> pixels;
           BareDecode(image, &pixels);
         });
       }},
      {"open", [&] { OpenFolder(flags); }},
  };
  std::rotate(ways.begin(), ways.begin() + flags.round % 3, ways.end());
  nlohmann::ordered_json line = {
      {"round", flags.round}, {"images", flags.images}, {"threads", CoreCount()}};
  TimeEach(ways, &line);
  std::cout << line.dump() << std::endl;
  return 0;
}

}  // namespace
}  // namespace stockpot

int main(int argc, char** argv) {
  stockpot::Flags flags;
  CLI::App app("How fast images are decoded and a data set of them is opened");
  app.add_option("scratch_folder", flags.scratch)->required();
  app.add_option("--images", flags.images)->check(CLI::PositiveNumber);
  app.add_option("--round", flags.round, "Turns the order")->check(CLI::NonNegativeNumber);
  CLI11_PARSE(app, argc, argv);
  return stockpot::Run(flags);
}
