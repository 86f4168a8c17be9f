// What a user can do wrong: each case gives a code, a reason and the thing at fault, and the server
// goes on. Real server, real worker, tiny models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "google/rpc/code.pb.h"
#include "tests/support/server_process/server_process.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {
namespace {

using testing::Contains;
using testing::HasSubstr;

void WriteText(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

class BadInputTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    sweep_ = new TinySweep;
    WriteBadFiles();
    server_ = new ServerProcess({.allowed_roots = {sweep_->folder().path()},
                                 .allowed_architecture_prefixes = {*sweep_ / "models"}});
  }
  static void TearDownTestSuite() {
    delete server_;
    delete sweep_;
  }

  static void WriteBadFiles() {
    const auto write = [](const char* name, const std::vector<MadeTensor>& tensors) {
      WriteSafetensors(*sweep_ / name, tensors);
    };
    const std::vector<float> ones(12, 1.0f);
    std::vector<float> nan = ones;
    nan[5] = std::nanf("");
    std::vector<MadeTensor> extra = TinySweep::Checkpoint(ones, {3, 4});
    extra.push_back(MakeTensor("head", DType::kFloat32, {1}, std::vector<float>{1.0f}));
    write("shape.safetensors", TinySweep::Checkpoint(ones, {4, 3}));
    write("missing.safetensors", {TinySweep::Checkpoint(ones, {3, 4})[1]});
    write("extra.safetensors", extra);
    write("nan.safetensors", TinySweep::Checkpoint(nan, {3, 4}));
    std::filesystem::copy(*sweep_ / "good_1.safetensors", *sweep_ / "truncated.safetensors");
    std::filesystem::resize_file(*sweep_ / "truncated.safetensors", 150);
    std::filesystem::copy("tests/server/worker/checkpoint/data/malicious.pt",
                          *sweep_ / "malicious.pt");
    WriteText(*sweep_ / "text.safetensors", "this is not a checkpoint, whatever its name says");
    WriteText(*sweep_ / "models/text.pt", "nor is this an architecture");
    WriteText(*sweep_ / "images/cat/1.jpg", "and no image");
    std::filesystem::create_directories(*sweep_ / "empty/cat");
    const auto data = [&](const char* name, int64_t width, int64_t label) {
      write(name, {MakeTensor("labels", DType::kInt64, {2}, std::vector<int64_t>{0, label}),
                   MakeTensor("x", DType::kFloat32, {2, width},
                              std::vector<float>(static_cast<size_t>(2 * width), 1.0f))});
    };
    data("negative.safetensors", 4, -1);
    data("label.safetensors", 4, 7);
    data("width.safetensors", 5, 1);
  }

  static TinySweep* sweep_;
  static ServerProcess* server_;
};
TinySweep* BadInputTest::sweep_ = nullptr;
ServerProcess* BadInputTest::server_ = nullptr;

struct Case {
  const char* name;
  google::rpc::Code code;
  const char* reason;
  const char* field;    // among the violations; "" for none
  const char* message;  // part of it
  std::function<void(v1::JobSpec*, const TinySweep&)> spoil;
};

std::vector<Case> BadCases() {
  using google::rpc::Code;
  const auto ingredient = [](const std::string& name) {
    return [name](v1::JobSpec* spec, const TinySweep& sweep) {
      spec->mutable_ingredients(1)->set_uri(sweep / name);
    };
  };
  const auto held_out = [](const std::string& name) {
    return [name](v1::JobSpec* spec, const TinySweep& sweep) {
      spec->mutable_evaluation()->mutable_held_out()->set_uri(sweep / name);
    };
  };
  const auto model = [](const std::string& path) {
    return [path](v1::JobSpec* spec, const TinySweep& sweep) {
      spec->mutable_model()->set_architecture_uri(path[0] == '/' ? path : sweep / path);
    };
  };
  return {
      {"a missing checkpoint", Code::NOT_FOUND, "CHECKPOINT_NOT_FOUND", "spec.ingredients[1]",
       "none.safetensors", ingredient("none.safetensors")},
      {"a truncated checkpoint", Code::DATA_LOSS, "CHECKPOINT_TRUNCATED", "spec.ingredients[1]",
       "truncated.safetensors", ingredient("truncated.safetensors")},
      {"a file that is no checkpoint", Code::INVALID_ARGUMENT, "CHECKPOINT_INVALID",
       "spec.ingredients[1]", "text.safetensors", ingredient("text.safetensors")},
      {"another shape", Code::INVALID_ARGUMENT, "CHECKPOINT_MISMATCH", "spec.ingredients[1]",
       "F32 [4, 3], but the architecture expects F32 [3, 4]", ingredient("shape.safetensors")},
      {"a missing tensor", Code::INVALID_ARGUMENT, "CHECKPOINT_MISMATCH", "spec.ingredients[1]",
       "tensor 'bias' is missing", ingredient("missing.safetensors")},
      {"an extra tensor", Code::INVALID_ARGUMENT, "CHECKPOINT_MISMATCH", "spec.ingredients[1]",
       "tensor 'head' is not in the architecture", ingredient("extra.safetensors")},
      {"weights that hold NaN", Code::INVALID_ARGUMENT, "CHECKPOINT_NOT_FINITE",
       "spec.ingredients[1]", "tensor 'weight' holds NaN", ingredient("nan.safetensors")},
      {"a pickle that would run a program", Code::UNIMPLEMENTED, "CHECKPOINT_UNSUPPORTED",
       "spec.ingredients[1]", "posix.system", ingredient("malicious.pt")},
      {"a checkpoint outside the allowed folders", Code::PERMISSION_DENIED, "PATH_NOT_ALLOWED",
       "job.spec.ingredients[1].uri", "allowed_root",
       [](v1::JobSpec* spec, const TinySweep&) {
         spec->mutable_ingredients(1)->set_uri("/etc/passwd");
       }},
      {"an architecture outside the allowed prefixes", Code::PERMISSION_DENIED,
       "ARCHITECTURE_NOT_ALLOWED", "job.spec.model.architecture_uri", "allowed_architecture_prefix",
       model("good_0.safetensors")},
      {"an architecture that is not TorchScript", Code::INVALID_ARGUMENT, "ARCHITECTURE_INVALID",
       "spec.model.architecture_uri", "models/text.pt", model("models/text.pt")},
      {"a model that throws", Code::INTERNAL, "MODEL_FAILED", "", "held_out",
       model("models/throws.pt")},
      {"a model that crashes its worker", Code::INTERNAL, "WORKER_CRASHED", "", "held_out",
       model("models/crash.pt")},
      {"a missing data set", Code::NOT_FOUND, "DATA_SET_NOT_FOUND", "spec.evaluation.held_out",
       "held_out", held_out("none")},
      {"an empty data set", Code::INVALID_ARGUMENT, "DATA_SET_EMPTY", "spec.evaluation.held_out",
       "held_out", held_out("empty")},
      {"an unreadable image", Code::INVALID_ARGUMENT, "IMAGE_UNREADABLE",
       "spec.evaluation.held_out", "cat/1.jpg", held_out("images")},
      {"a negative label", Code::INVALID_ARGUMENT, "LABEL_OUT_OF_RANGE", "spec.evaluation.held_out",
       "-1", held_out("negative.safetensors")},
      {"a label beyond the logits", Code::INVALID_ARGUMENT, "LABEL_OUT_OF_RANGE", "", "7",
       held_out("label.safetensors")},
      {"inputs of another shape", Code::INVALID_ARGUMENT, "MODEL_INPUT_MISMATCH", "", "held_out",
       held_out("width.safetensors")},
      {"no labels", Code::INVALID_ARGUMENT, "DATA_SET_INVALID", "spec.evaluation.held_out",
       "'labels'", held_out("good_0.safetensors")},
      {"two sizes for one image", Code::INVALID_ARGUMENT, "INVALID_FIELD",
       "job.spec.evaluation.held_out.image_transform.resize_shorter_side", "contradicts",
       [](v1::JobSpec* spec, const TinySweep& sweep) {
         v1::DataSet* set = spec->mutable_evaluation()->mutable_held_out();
         set->set_uri(sweep / "images");
         set->mutable_image_transform()->set_resize_shorter_side(8);
         set->mutable_image_transform()->set_resize_height(8);
         set->mutable_image_transform()->set_resize_width(8);
       }},
      {"no ingredients", Code::INVALID_ARGUMENT, "INVALID_FIELD", "job.spec.ingredients",
       "at least one", [](v1::JobSpec* spec, const TinySweep&) { spec->clear_ingredients(); }},
      {"a batch size that is negative", Code::INVALID_ARGUMENT, "INVALID_FIELD",
       "job.spec.compute.batch_size", "between",
       [](v1::JobSpec* spec, const TinySweep&) { spec->mutable_compute()->set_batch_size(-1); }},
      {"a scheme that is not read", Code::UNIMPLEMENTED, "NOT_IMPLEMENTED",
       "job.spec.ingredients[1].uri", "ftp",
       [](v1::JobSpec* spec, const TinySweep&) {
         spec->mutable_ingredients(1)->set_uri("ftp://host/key");
       }},
  };
}

TEST_F(BadInputTest, TheGoodSweepItselfIsMadeIntoASoup) {
  const v1::Job job = server_->Run(sweep_->Spec());
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(job.report().result().blends(0).scores(0).score().top1_correct(), 6);
}

TEST_F(BadInputTest, EachIsNamedAndTheServerGoesOn) {
  for (const Case& bad : BadCases()) {
    SCOPED_TRACE(bad.name);
    v1::JobSpec spec = sweep_->Spec();
    bad.spoil(&spec, *sweep_);
    const v1::Job job = server_->Run(spec);
    EXPECT_EQ(job.state(), v1::Job::FAILED);
    EXPECT_EQ(job.error().code(), bad.code) << job.error().message();
    EXPECT_THAT(job.error().message(), HasSubstr(bad.message));
    const ErrorDetails details = DetailsOf(job.error());
    EXPECT_EQ(details.reason, bad.reason);
    if (*bad.field != '\0') {
      EXPECT_THAT(details.fields, Contains(std::string(bad.field)));
    }
  }
  EXPECT_EQ(server_->Run(sweep_->Spec()).state(), v1::Job::SUCCEEDED);
}

// Old gRPC allows 8 KiB of trailers: details that are larger reach nobody.
TEST_F(BadInputTest, FiveHundredBadIngredientsGiveAReadableError) {
  v1::JobSpec spec = sweep_->Spec();
  spec.clear_ingredients();
  for (int i = 0; i < 500; ++i) {
    spec.add_ingredients()->set_uri(
        *sweep_ / ("a sweep with a long name/none_" + std::to_string(i) + ".safetensors"));
  }
  const auto is_readable = [](const google::rpc::Status& error, const std::string& field) {
    EXPECT_EQ(error.code(), google::rpc::Code::NOT_FOUND);
    EXPECT_LE(error.message().size(), 1024u);
    EXPECT_LE(error.ByteSizeLong(), 4096u);
    const ErrorDetails details = DetailsOf(error);
    EXPECT_EQ(details.reason, "CHECKPOINT_NOT_FOUND");
    EXPECT_EQ(details.metadata.at("ingredient"), "none_0.safetensors");
    ASSERT_GE(details.fields.size(), 1u);
    EXPECT_LE(details.fields.size(), 20u);
    EXPECT_EQ(details.fields[0], field);
    EXPECT_TRUE(details.metadata.count("violation_count")) << "that there are more";
  };
  // In the trailers of a call, …
  grpc::ClientContext context;
  v1::CreateJobRequest request;
  *request.mutable_job()->mutable_spec() = spec;
  request.set_validate_only(true);
  v1::Job ignored;
  const grpc::Status status = server_->stub().CreateJob(&context, request, &ignored);
  EXPECT_LE(status.error_details().size(), 4096u);
  EXPECT_THAT(status.error_message(), HasSubstr("(and 499 more)"));
  is_readable(StatusOf(status), "job.spec.ingredients[0].uri");
  // … and in the job.
  const v1::Job job = server_->Run(spec);
  EXPECT_EQ(job.state(), v1::Job::FAILED);
  EXPECT_THAT(job.error().message(), HasSubstr("500 of 500 ingredients cannot be used"));
  is_readable(job.error(), "spec.ingredients[0]");
}

}  // namespace
}  // namespace stockpot
