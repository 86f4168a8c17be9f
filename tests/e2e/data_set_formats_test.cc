// One real data set through every format: the same digest, and the same report to the last count.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "server/base/files.h"
#include "server/worker/dataset/image_decoder.h"
#include "tests/e2e/digit_sets.h"
#include "tests/support/server_process/server_process.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Source = DigitSets::Source;
constexpr int kSide = DigitSets::kSide, kClasses = DigitSets::kClasses;
constexpr size_t kExamples = DigitSets::kExamples;

class DataSetFormatsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    sets_ = new DigitSets;
    server_ = new ServerProcess({.workers = 1,
                                 .allowed_roots = {sets_->folder()},
                                 .allowed_architecture_prefixes = {
                                     std::filesystem::absolute("tests/support/models").string()}});
  }
  static void TearDownTestSuite() {
    delete server_;
    delete sets_;
  }

  static std::string Path(const std::string& name) { return sets_->Path(name); }
  static std::vector<Source> Sources() { return DigitSets::Sources(); }
  static v1::DataSet DataSetOf(const Source& source) {
    return DigitSets::DataSetOf(source, sets_->folder() + "/");
  }
  static v1::JobSpec Spec(const v1::DataSet& held_out) { return sets_->Spec(held_out); }

  static v1::DataSetDescription Inspect(const v1::DataSet& set, int picture_count = 0) {
    v1::InspectSourceRequest request;
    *request.mutable_data_set() = set;
    request.set_picture_count(picture_count);
    v1::InspectSourceResponse response;
    grpc::ClientContext context;
    const grpc::Status status = server_->stub().InspectSource(&context, request, &response);
    EXPECT_TRUE(status.ok()) << set.uri() << ": " << status.error_message();
    return response.data_set();
  }

  static DigitSets* sets_;
  static ServerProcess* server_;
};
DigitSets* DataSetFormatsTest::sets_ = nullptr;
ServerProcess* DataSetFormatsTest::server_ = nullptr;

TEST_F(DataSetFormatsTest, EveryFormatGivesTheSameReport) {
  std::string digest, report;
  for (const Source& source : Sources()) {
    const v1::Job job = server_->Run(Spec(DataSetOf(source)));
    ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << source.uri << ": " << job.error().message();
    const v1::ReportResult& result = job.report().result();
    const std::string text = result.DebugString();
    if (report.empty()) {
      report = text;
      // The classifiers are good for something, and the soup is no accident of zeros.
      EXPECT_GT(result.blends(0).scores(0).score().top1_correct(), 200);
      EXPECT_EQ(result.blends(0).scores(0).score().example_count(), kExamples);
    }
    EXPECT_EQ(text, report) << source.uri;
    const v1::DataSetDescription found = Inspect(DataSetOf(source));
    if (digest.empty()) digest = found.digest();
    EXPECT_EQ(found.digest(), digest) << source.uri;
  }
}

// What a cache may not hold is decoded in every pass: the same report, and nothing is kept of it.
TEST_F(DataSetFormatsTest, ImagesThatAreStreamedGiveTheReportOfTheCache) {
  const TemporaryFolder data;
  ServerProcess streaming({.workers = 1,
                           .allowed_roots = {sets_->folder()},
                           .allowed_architecture_prefixes =
                               {std::filesystem::absolute("tests/support/models").string()},
                           .data_folder = data.path(),
                           .flags = {"--max_data_cache_bytes=1000"}});
  for (const Source& source : Sources()) {
    const v1::JobSpec spec = Spec(DataSetOf(source));
    const v1::Job job = streaming.Run(spec);
    ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << source.uri << ": " << job.error().message();
    EXPECT_EQ(job.report().result().DebugString(),
              server_->Run(spec).report().result().DebugString())
        << source.uri;
  }
  // What reads them in an order of its own.
  v1::JobSpec learned = Spec(DataSetOf({"folder"}));
  learned.mutable_recipe()->mutable_learned()->set_epochs(1);
  const v1::Job job = streaming.Run(learned);
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(job.report().result().DebugString(),
            server_->Run(learned).report().result().DebugString());
  for (const auto& file : std::filesystem::directory_iterator(data / "cache")) {
    EXPECT_NE(file.path().extension(), ".images");
  }
}

TEST_F(DataSetFormatsTest, InspectionTellsAllBeforeAJob) {
  for (const Source& source : Sources()) {
    const v1::DataSetDescription found = Inspect(DataSetOf(source));
    EXPECT_EQ(found.example_count(), kExamples) << source.uri;
    EXPECT_EQ(found.class_count(), kClasses);
    ASSERT_EQ(found.class_example_counts_size(), kClasses);
    EXPECT_EQ(found.class_example_counts(0), 31);
    ASSERT_EQ(found.first_labels_size(), 20);
    EXPECT_EQ(found.first_labels(0), 0);
    ASSERT_EQ(found.inputs_size(), 1);
    EXPECT_EQ(found.inputs(0).name(), "images");
    EXPECT_EQ(found.inputs(0).dtype(), "U8");
    EXPECT_THAT(found.inputs(0).shape(), ElementsAre(3, kSide, kSide));
  }
}

TEST_F(DataSetFormatsTest, PicturesHaveThePixelsThatTheModelGets) {
  constexpr int kPictures = 40;
  for (const Source& source : Sources()) {
    const v1::DataSetDescription found = Inspect(DataSetOf(source), kPictures);
    ASSERT_EQ(found.pictures_size(), kPictures) << source.uri;
    for (int i = 0; i < kPictures; ++i) {
      const auto picture = DecodePng(found.pictures(i).png(), 1000);
      ASSERT_TRUE(picture.ok()) << picture.status();
      const DigitSets::Digit& digit = sets_->digits()[static_cast<size_t>(i)];
      std::vector<uint8_t> pixels;
      for (const uint8_t grey : digit.pixels) pixels.insert(pixels.end(), 3, grey);
      EXPECT_EQ(picture->pixels, pixels) << source.uri << " " << i;
      EXPECT_EQ(found.pictures(i).label(), std::to_string(digit.label));
    }
  }
  EXPECT_EQ(Inspect(DataSetOf({"folder"})).pictures_size(), 0) << "nobody asked";
}

TEST_F(DataSetFormatsTest, LargePicturesAreMadeSmallerAndManyAreCutOff) {
  v1::DataSet set = DataSetOf({"folder"});
  set.mutable_image_transform()->set_resize_height(300);
  set.mutable_image_transform()->set_resize_width(600);
  const v1::DataSetDescription found = Inspect(set, 64);
  EXPECT_EQ(found.pictures_size(), 64);
  size_t bytes = 0;
  for (const v1::ExamplePicture& picture : found.pictures()) {
    const auto decoded = DecodePng(picture.png(), 1 << 20);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->width, 224);
    EXPECT_EQ(decoded->height, 112);
    bytes += picture.png().size();
  }
  EXPECT_LE(bytes, 2u << 20);
  v1::InspectSourceRequest request;
  *request.mutable_data_set() = set;
  request.set_picture_count(65);
  v1::InspectSourceResponse response;
  grpc::ClientContext context;
  EXPECT_EQ(server_->stub().InspectSource(&context, request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(DataSetFormatsTest, TheProgramWritesPicturesSideBySide) {
  const std::string file = Path("pictures.png");
  const ProgramResult result =
      RunProgram({ProgramPath("stockpot"), "--server", server_->address(), "inspect",
                  Path("folder/list.csv"), "--pictures", file, "--picture-count", "40"});
  ASSERT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("row 5: 0, 0, 0, 1, 1, 1, 1\n"));
  const auto encoded = ReadSmallFile(file, 1 << 20);
  ASSERT_TRUE(encoded.ok()) << encoded.status();
  const auto grid = DecodePng(*encoded, 1 << 20);
  ASSERT_TRUE(grid.ok()) << grid.status();
  constexpr int kColumns = 7, kRows = 6, kCell = kSide + 2;
  ASSERT_EQ(grid->width, kColumns * kCell - 2);
  ASSERT_EQ(grid->height, kRows * kCell - 2);
  for (int y = 0; y < grid->height; ++y) {
    for (int x = 0; x < grid->width; ++x) {
      const int i = y / kCell * kColumns + x / kCell, row = y % kCell, column = x % kCell;
      const bool is_between = row >= kSide || column >= kSide || i >= 40;
      const int expected = is_between ? 255
                                      : sets_->digits()[static_cast<size_t>(i)]
                                            .pixels[static_cast<size_t>(row * kSide + column)];
      ASSERT_EQ(grid->row(y)[3 * x], expected) << x << " " << y;
    }
  }
  EXPECT_NE(RunProgram({ProgramPath("stockpot"), "--server", server_->address(), "inspect",
                        Path("model_0.safetensors"), "--as", "checkpoint", "--pictures", file})
                .exit_code,
            0);
}

TEST_F(DataSetFormatsTest, HeldOutAndTestAreTakenFromOneSource) {
  for (const Source& source : Sources()) {
    v1::DataSet held_out = DataSetOf(source), rest = DataSetOf(source);
    held_out.mutable_subset()->set_fraction(0.1);
    held_out.mutable_subset()->set_seed(17);
    *rest.mutable_subset() = held_out.subset();
    rest.mutable_subset()->set_complement(true);
    v1::JobSpec spec = Spec(held_out);
    rest.set_name("rest");
    *spec.mutable_evaluation()->add_report_sets() = rest;
    const v1::Job job = server_->Run(spec);
    ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << source.uri << ": " << job.error().message();
    const v1::BlendResult& best = job.report().result().blends(0);
    EXPECT_EQ(best.scores(0).score().example_count(), 30) << source.uri;
    EXPECT_EQ(best.scores(1).score().example_count(), 270) << source.uri;
    static int64_t correct = -1;
    const int64_t found = best.scores(0).score().top1_correct();
    if (correct < 0) correct = found;
    EXPECT_EQ(found, correct) << source.uri;
  }
}

TEST_F(DataSetFormatsTest, PresetNormalisesWhatTheModelGets) {
  v1::DataSet set = DataSetOf({"folder"});
  set.mutable_image_transform()->set_preset(v1::ImageTransform::CLIP);
  const v1::DataSetDescription found = Inspect(set);
  EXPECT_THAT(found.inputs(0).shape(), ElementsAre(3, 224, 224));
  EXPECT_EQ(found.image_transform().resize_shorter_side(), 224);
  EXPECT_TRUE(found.scale_to_unit());
  EXPECT_FLOAT_EQ(found.mean(0), 0.48145466f);
  // A file that leaves the size as it is, and a spec that says the same in numbers.
  WriteBytes(Path("preprocessor_config.json"),
             R"({"image_processor_type": "ViTImageProcessor", "do_resize": false,
                 "image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.6, 0.7]})");
  std::string report;
  for (const bool by_file : {true, false}) {
    v1::JobSpec spec = Spec(DataSetOf({"folder"}));
    v1::InputBinding& input = *spec.mutable_model()->mutable_inputs(0);
    if (by_file) {
      spec.mutable_evaluation()->mutable_held_out()->mutable_image_transform()->set_config_uri(
          Path("preprocessor_config.json"));
      input.clear_scale_to_unit();
      input.set_normalize_as_held_out(true);
    } else {
      for (const float mean : {0.5f, 0.4f, 0.3f}) input.add_mean(mean);
      for (const float deviation : {0.5f, 0.6f, 0.7f}) input.add_standard_deviation(deviation);
    }
    const v1::Job job = server_->Run(spec);
    ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
    const std::string text = job.report().result().DebugString();
    if (by_file) report = text;
    EXPECT_EQ(text, report);
  }
}

TEST_F(DataSetFormatsTest, WhatLeavesTheAllowedFoldersIsRefused) {
  const TemporaryFolder elsewhere;
  std::filesystem::copy(Path("folder/0"), elsewhere / "0");
  WriteBytes(elsewhere / "list.csv", "path,label\n0/0000.png,0\n");
  WriteBytes(Path("bad/list.csv"), "path,label\n../folder/0/0000.png,0\n");
  std::filesystem::create_directory_symlink(elsewhere / "0", Path("bad/link"));
  WriteBytes(Path("bad/link.csv"), "path,label\nlink/0000.png,0\n");
  for (const auto& [uri, reason] : std::vector<std::pair<std::string, const char*>>{
           {elsewhere / "list.csv", "PATH_NOT_ALLOWED"},
           {elsewhere / "shard-{0..3}.tar", "PATH_NOT_ALLOWED"},
           {Path("bad/list.csv"), "DATA_SET_INVALID"},
           {Path("bad/link.csv"), "DATA_SET_INVALID"},
           {Path("shards/digits-{000..002}.tar"), "DATA_SET_NOT_FOUND"},
           {Path("shards/digits-{000..}.tar"), "INVALID_FIELD"}}) {
    v1::DataSet set;
    set.set_uri(uri);
    const v1::Job job = server_->Run(Spec(set));
    EXPECT_EQ(job.state(), v1::Job::FAILED) << uri;
    EXPECT_EQ(DetailsOf(job.error()).reason, reason) << uri << ": " << job.error().message();
  }
}

}  // namespace
}  // namespace stockpot
