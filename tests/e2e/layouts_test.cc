// Checkpoints as people have them, through the real server: the report is that of plain files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/server_process/server_process.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {
namespace {

using testing::HasSubstr;

// What must not depend on the layout of files.
std::string Essence(v1::ReportResult result) {
  for (v1::IngredientResult& ingredient : *result.mutable_ingredients()) {
    ingredient.clear_uri();
    ingredient.clear_format();
    ingredient.clear_notes();
  }
  return result.DebugString();
}

class LayoutsTest : public testing::Test {
 protected:
  LayoutsTest() {
    server_ = std::make_unique<ServerProcess>(
        ServerProcess::Options{.workers = 2, .threads_per_worker = 1});
  }

  static std::vector<float> Weights(int ingredient) {
    std::vector<float> weight(12, 0.25f * static_cast<float>(ingredient));
    for (size_t c = 0; c < 3; ++c) weight[c * 4 + c] = 1.0f + static_cast<float>(c);
    return weight;
  }
  static MadeTensor Weight(const std::string& name, const std::vector<float>& weight) {
    return MakeTensor(name, DType::kFloat32, {3, 4}, weight);
  }
  static MadeTensor Bias(const std::string& name) {
    return MakeTensor(name, DType::kFloat32, {3}, std::vector<float>(3, 0.0f));
  }
  void Write(const std::string& name, const std::vector<MadeTensor>& tensors) {
    std::filesystem::create_directories(std::filesystem::path(sweep_ / name).parent_path());
    std::filesystem::remove(sweep_ / name);
    WriteSafetensors(sweep_ / name, tensors);
  }
  void WriteText(const std::string& name, const std::string& text) {
    std::ofstream(sweep_ / name) << text;
  }

  // good_0 as it is.
  void WritePlain() {
    for (int i = 0; i < 3; ++i) {
      Write(absl::StrCat("good_", i, ".safetensors"), {Bias("bias"), Weight("weight", Weights(i))});
    }
    Write("base.safetensors", {Bias("bias"), Weight("weight", Weights(0))});
  }

  // The same: two files with an index, a file with a prefix, and an adapter.
  void WriteLayouts() {
    Write("layouts/sharded/one.safetensors", {Weight("weight", Weights(0))});
    Write("layouts/sharded/two.safetensors", {Bias("bias")});
    WriteText("layouts/sharded/model.safetensors.index.json",
              R"({"weight_map": {"weight": "one.safetensors", "bias": "two.safetensors"}})");
    Write("layouts/prefixed.safetensors", {Bias("m.bias"), Weight("m.weight", Weights(1))});
    // Of Weights(0) all but the diagonal is 0: what is added is a product of small numbers,
    // exactly.
    Write("layouts/base.safetensors", {Bias("m.bias"), Weight("m.weight", Weights(0))});
    std::vector<float> a(12), b(9, 0.0f);
    for (size_t k = 0; k < 3; ++k) {
      b[k * 3 + k] = 0.5f;
      for (size_t j = 0; j < 4; ++j) a[k * 4 + j] = k == j ? 0.0f : 0.5f;
    }
    Write("layouts/adapter/adapter_model.safetensors",
          {MakeTensor("base_model.model.m.lora_A.weight", DType::kFloat32, {3, 4}, a),
           MakeTensor("base_model.model.m.lora_B.weight", DType::kFloat32, {3, 3}, b)});
    WriteText("layouts/adapter/adapter_config.json",
              R"({"peft_type": "LORA", "r": 3, "lora_alpha": 6, "fan_in_fan_out": false})");
  }

  v1::JobSpec PlainSpec() const {
    v1::JobSpec spec = sweep_.Spec();
    for (int i = 0; i < 3; ++i) {
      spec.mutable_ingredients(i)->set_display_name(absl::StrCat("run ", i));
    }
    spec.mutable_model()->set_base_uri(sweep_ / "base.safetensors");
    spec.mutable_recipe()->mutable_wise_ft();
    return spec;
  }
  v1::JobSpec LayoutsSpec() const {
    v1::JobSpec spec = PlainSpec();
    spec.mutable_ingredients(0)->set_uri(sweep_ / "layouts/sharded");
    spec.mutable_ingredients(1)->set_uri(sweep_ / "layouts/prefixed.safetensors");
    spec.mutable_ingredients(2)->set_uri(sweep_ / "layouts/adapter/");
    spec.mutable_model()->set_base_uri(sweep_ / "layouts/base.safetensors");
    v1::TensorRename* rename = spec.mutable_model()->add_tensor_renames();
    rename->set_pattern("m.*");
    rename->set_replacement("*");
    return spec;
  }

  v1::InspectSourceResponse Inspect(const v1::InspectSourceRequest& request, grpc::Status* status) {
    grpc::ClientContext context;
    v1::InspectSourceResponse response;
    *status = server_->stub().InspectSource(&context, request, &response);
    return response;
  }

  TinySweep sweep_;
  std::unique_ptr<ServerProcess> server_;
};

// On a server that knows none of their measures yet.
TEST_F(LayoutsTest, AnAdapterIsMergedUnderTheBasesOwnNamesWhateverIsRenamed) {
  WriteLayouts();
  const v1::Job job = server_->Run(LayoutsSpec());
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
}

TEST_F(LayoutsTest, AFolderIsTheCheckpointsBelowIt) {
  WriteLayouts();
  const v1::JobSpec named = LayoutsSpec();
  v1::JobSpec spec = named;
  spec.clear_ingredients();
  spec.add_ingredients()->set_uri(sweep_ / "layouts/runs/");
  std::filesystem::create_directories(sweep_ / "layouts/runs");
  for (const char* name : {"adapter", "prefixed.safetensors", "sharded"}) {
    std::filesystem::copy(sweep_ / absl::StrCat("layouts/", name),
                          sweep_ / absl::StrCat("layouts/runs/", name),
                          std::filesystem::copy_options::recursive);
  }
  const v1::Job job = server_->Run(spec);
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  const v1::Job one_by_one = server_->Run(named);
  ASSERT_EQ(one_by_one.state(), v1::Job::SUCCEEDED) << one_by_one.error().message();
  const auto& found = job.report().result().ingredients();
  ASSERT_EQ(found.size(), 3);
  const int in_order[] = {2, 1, 0};
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(found[i].digest(), one_by_one.report().result().ingredients(in_order[i]).digest());
  }
  EXPECT_EQ(found[1].display_name(), "prefixed.safetensors");

  std::filesystem::create_directories(sweep_ / "layouts/empty/.hidden");
  WriteText("layouts/empty/.hidden/a.pt", "x");
  spec.mutable_ingredients(0)->set_uri(sweep_ / "layouts/empty/");
  const v1::Job empty = server_->Run(spec);
  EXPECT_EQ(DetailsOf(empty.error()).reason, "CHECKPOINT_NOT_FOUND");
  EXPECT_THAT(empty.error().message(), testing::HasSubstr("no .safetensors, .pt, .pth"));
  spec.mutable_ingredients(0)->set_uri(sweep_ / "layouts/runs");
  grpc::ClientContext context;
  v1::CreateJobRequest request;
  *request.mutable_job()->mutable_spec() = spec;
  request.set_validate_only(true);
  v1::Job refused;
  const grpc::Status status = server_->stub().CreateJob(&context, request, &refused);
  EXPECT_THAT(status.error_message(), testing::HasSubstr("end it with /"));
}

TEST_F(LayoutsTest, TheReportIsThatOfPlainFiles) {
  WritePlain();
  WriteLayouts();
  const v1::Job plain = server_->Run(PlainSpec());
  ASSERT_EQ(plain.state(), v1::Job::SUCCEEDED) << plain.error().message();
  const v1::Job job = server_->Run(LayoutsSpec());
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(Essence(job.report().result()), Essence(plain.report().result()));
  EXPECT_EQ(job.report().result().ingredients(0).format(), "sharded safetensors");
  EXPECT_EQ(job.report().result().ingredients(2).format(), "LoRA adapter over safetensors");

  grpc::ClientContext context;
  v1::VerifySoupRequest request;
  request.set_name(job.name());
  v1::VerifySoupResponse response;
  const grpc::Status verified = server_->stub().VerifySoup(&context, request, &response);
  ASSERT_TRUE(verified.ok()) << verified.error_message();
  EXPECT_TRUE(response.identical());
}

TEST_F(LayoutsTest, InspectSourceReadsAsAJobDoes) {
  WriteLayouts();
  grpc::Status status;
  v1::InspectSourceRequest request;
  request.set_checkpoint_uri(sweep_ / "layouts/adapter");
  Inspect(request, &status);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("base"));
  request.set_base_uri(sweep_ / "layouts/base.safetensors");
  request.add_tensor_renames()->set_pattern("m.weight");
  request.mutable_tensor_renames(0)->set_replacement("kernel");
  const v1::InspectSourceResponse response = Inspect(request, &status);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(response.checkpoint().is_adapter());
  ASSERT_EQ(response.checkpoint().tensors_size(), 2);
  EXPECT_EQ(response.checkpoint().tensors(0).name(), "kernel");
  request.mutable_tensor_renames(0)->set_replacement("*");
  Inspect(request, &status);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

// An index is a client's file too: it may not lead anywhere that the client may not.
TEST_F(LayoutsTest, AShardThatIsALinkOutOfTheAllowedFolderIsRefused) {
  WritePlain();
  WriteLayouts();
  const TemporaryFolder outside;
  std::filesystem::rename(sweep_ / "layouts/sharded/two.safetensors", outside / "two.safetensors");
  std::filesystem::create_symlink(outside / "two.safetensors",
                                  sweep_ / "layouts/sharded/two.safetensors");
  ServerProcess fenced(
      {.workers = 1, .threads_per_worker = 1, .allowed_roots = {sweep_.folder().path()}});
  const v1::Job job = fenced.Run(LayoutsSpec());
  EXPECT_EQ(job.state(), v1::Job::FAILED);
  EXPECT_THAT(job.error().message(), HasSubstr("two.safetensors"));
  EXPECT_EQ(job.error().code(), 7) << job.error().message();  // PERMISSION_DENIED
}

}  // namespace
}  // namespace stockpot
