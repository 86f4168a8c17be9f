// Jobs whose files are in an object store, over a real server of each kind where
// deploy/install-dependencies --object-store-tests brought it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/digest.h"
#include "server/base/json_reader.h"
#include "server/storage/object_store/object_stores.h"
#include "tests/e2e/digit_sets.h"
#include "tests/e2e/sweep_elsewhere.h"
#include "tests/support/folder_contents.h"
#include "tests/support/object_emulator/object_emulator.h"

namespace stockpot {
namespace {

// The AWS library must be shut down before the process ends.
class ShutsDown : public testing::Environment {
 public:
  void TearDown() override { EXPECT_TRUE(ObjectStores().ShutDown()); }
};
testing::Environment* const shuts_down = testing::AddGlobalTestEnvironment(new ShutsDown);

class ObjectStoreTest : public SweepElsewhereTest,
                        public testing::WithParamInterface<ObjectEmulator::Kind> {
 protected:
  void SetUp() override {
    if (!ObjectEmulator::IsInstalled(GetParam())) {
      GTEST_SKIP() << ObjectEmulator::Skipped(GetParam());
    }
    store_ = std::make_unique<ObjectEmulator>(GetParam());
    place_ = store_->Root() + "sweep/";
    for (const std::string& name : Names()) store_->Put("sweep/" + name, ReadWhole(sweep_ / name));
  }

  std::unique_ptr<ServerProcess> Start(const std::string& data_folder = "") {
    return Start(place_, data_folder);
  }
  std::unique_ptr<ServerProcess> Start(const std::string& allowed, const std::string& data_folder) {
    std::vector<std::string> flags = store_->Flags();
    flags.push_back("--allowed_uri_prefix=" + allowed);
    flags.push_back("--allowed_output_uri_prefix=" + store_->Root() + "soups/");
    return std::make_unique<ServerProcess>(
        ServerProcess::Options{.workers = 2,
                               .threads_per_worker = 1,
                               .allowed_roots = {},
                               .allowed_architecture_prefixes = {place_ + "models/"},
                               .data_folder = data_folder,
                               .flags = std::move(flags)});
  }

  // A job whose soup goes to soups/NAME.
  v1::JobSpec SpecWithOutput(const std::string& name) const {
    v1::JobSpec spec = SpecAt(place_);
    spec.mutable_output()->set_output_uri(absl::StrCat(store_->Root(), "soups/", name));
    return spec;
  }

  // What is at soups/NAME, which is whole where there is a manifest. None: no manifest.
  std::optional<std::map<std::string, std::string>> Soup(const std::string& name) {
    const std::string folder = absl::StrCat("soups/", name, "/");
    std::map<std::string, std::string> files;
    for (const std::string& key : store_->Keys()) {
      if (absl::StartsWith(key, folder)) files[key.substr(folder.size())] = store_->Get(key);
    }
    const auto text = files.find("manifest.json");
    if (text == files.end()) return std::nullopt;
    const absl::StatusOr<Json> manifest = ParseJson(text->second);
    EXPECT_TRUE(manifest.ok()) << text->second;
    if (!manifest.ok()) return std::nullopt;
    size_t named = 1;  // the manifest itself
    for (const Json& of : {manifest->at("soup").at("files"), manifest->at("files")}) {
      for (const Json& file : of) {
        EXPECT_EQ(Sha256Hex(files[file.at("file")]), file.at("sha256")) << file;
        ++named;
      }
    }
    EXPECT_EQ(files.size(), named) << "and nothing else";
    return files;
  }

  std::unique_ptr<ObjectEmulator> store_;
  std::string place_;
};

TEST_P(ObjectStoreTest, ASoupThatIsWrittenThereIsWholeAndVerifies) {
  const auto server = Start();
  v1::CreateJobRequest validate;
  *validate.mutable_job()->mutable_spec() = SpecWithOutput("a");
  validate.set_validate_only(true);
  const auto is_valid = [&] {
    grpc::ClientContext context;
    v1::Job job;
    return server->stub().CreateJob(&context, validate, &job);
  };
  EXPECT_TRUE(is_valid().ok()) << is_valid().error_message();
  EXPECT_EQ(store_->Keys().size(), Names().size()) << "nothing was left there";

  const v1::Job job = server->Run(SpecWithOutput("a"));
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(WithoutUris(job.report().result()), LocalResult());
  const auto soup = Soup("a");
  ASSERT_TRUE(soup.has_value());
  EXPECT_EQ(soup->count("soup.safetensors"), 1u);

  grpc::ClientContext context;
  v1::VerifySoupRequest request;
  request.set_manifest(soup->at("manifest.json"));
  v1::VerifySoupResponse response;
  ASSERT_TRUE(server->stub().VerifySoup(&context, request, &response).ok());
  EXPECT_TRUE(response.identical());

  const v1::Job other = server->Run(SpecWithOutput("a"));
  EXPECT_EQ(DetailsOf(other.error()).reason, "OUTPUT_EXISTS") << other.error().message();
  EXPECT_EQ(DetailsOf(StatusOf(is_valid())).reason, "OUTPUT_EXISTS");
  EXPECT_EQ(*Soup("a"), *soup) << "left alone";
  validate.mutable_job()->mutable_spec()->mutable_output()->set_output_uri(place_);
  EXPECT_EQ(DetailsOf(StatusOf(is_valid())).reason, "OUTPUT_NOT_ALLOWED");
}

TEST_P(ObjectStoreTest, AManifestsFilesAreThoseOfTheStore) {
  const std::string pictures = "tests/server/worker/dataset/data/";
  std::string text = "path,label\n";
  for (int i = 0; i < 12; ++i) {  // as many as are listed, not looked at
    const std::string name = absl::StrCat("class ", i % 3, "/", i, i % 2 == 0 ? ".png" : ".jpg");
    const std::string from = pictures + (i % 2 == 0 ? "rgb.png" : "444.jpg");
    std::filesystem::create_directories(sweep_ / absl::StrCat("pictures/class ", i % 3));
    std::filesystem::copy(from, sweep_ / ("pictures/" + name));
    store_->Put("sweep/pictures/" + name, ReadWhole(from));
    absl::StrAppend(&text, name, ",", i % 3, "\n");
  }
  EXPECT_TRUE(WriteFileDurably(sweep_ / "pictures/list.csv", text).ok());
  store_->Put("sweep/pictures/list.csv", text);
  const auto digest_of = [](ServerProcess* server, const std::string& uri) {
    v1::InspectSourceRequest request;
    request.mutable_data_set()->set_uri(uri);
    request.mutable_data_set()->mutable_image_transform()->set_resize_height(2);
    request.mutable_data_set()->mutable_image_transform()->set_resize_width(2);
    v1::InspectSourceResponse response;
    grpc::ClientContext context;
    const grpc::Status status = server->stub().InspectSource(&context, request, &response);
    EXPECT_TRUE(status.ok()) << uri << ": " << status.error_message();
    return response.data_set().digest();
  };
  ServerProcess local({.workers = 1, .allowed_roots = {sweep_.folder().path()}});
  const std::string expected = digest_of(&local, sweep_ / "pictures/list.csv");
  const auto server = Start();
  EXPECT_EQ(digest_of(server.get(), place_ + "pictures/list.csv"), expected);
  EXPECT_EQ(digest_of(server.get(), place_ + "pictures/list.csv"), expected) << "and again";
}

TEST_P(ObjectStoreTest, AServerThatIsKilledNeverLeavesAManifestWithoutItsFiles) {
  const TemporaryFolder data;
  for (const size_t files : {1u, 2u, 3u}) {
    SCOPED_TRACE(files);
    const std::string name = absl::StrCat("killed_", files);
    auto server = Start(data.path());
    grpc::ClientContext context;
    v1::CreateJobRequest request;
    *request.mutable_job()->mutable_spec() = SpecWithOutput(name);
    v1::Job job;
    ASSERT_TRUE(server->stub().CreateJob(&context, request, &job).ok());
    const size_t before = store_->Keys().size();
    while (store_->Keys().size() < before + files) absl::SleepFor(absl::Milliseconds(1));
    server->Kill();
    Soup(name);
    server = Start(data.path());
    const v1::Job ended = server->Follow(job.name());
    ASSERT_EQ(ended.state(), v1::Job::SUCCEEDED) << ended.error().message();
    EXPECT_TRUE(Soup(name).has_value());
  }
}

TEST_P(ObjectStoreTest, BrokenConnectionsLeaveAWholeSoup) {
  const auto server = Start();
  ASSERT_EQ(server->Run(SpecAt(place_)).state(), v1::Job::SUCCEEDED) << "all is here";
  store_->relay().OnConnection([](int number) {
    FaultyRelay::Fault fault;
    if (number % 7 == 3) fault.break_upload_after = 700;
    return fault;
  });
  const v1::Job job = server->Run(SpecWithOutput("a"));
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_TRUE(Soup("a").has_value());
}

TEST_P(ObjectStoreTest, AJobGivesTheReportOfLocalFiles) {
  const auto server = Start();
  const v1::Job job = server->Run(SpecAt(place_));
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(WithoutUris(job.report().result()), LocalResult());
}

TEST_P(ObjectStoreTest, PrefixesAndPatternsAreTheCheckpointsThatTheyMean) {
  const auto put = [this](const std::string& key, int ingredient) {
    const std::string name = absl::StrCat("good_", ingredient, ".safetensors");
    store_->Put("sweep/" + key, ingredient < 0 ? "no checkpoint" : ReadWhole(sweep_ / name));
  };
  const std::pair<const char*, int> keys[] = {
      {"flat/good_0.safetensors", 0},          {"flat/good_1.safetensors", 1},
      {"flat/good_2.safetensors", 2},          {"flat/notes.txt", -1},
      {"flat2/of another.safetensors", 0},     {"flat.safetensors", 0},
      {"deep/lr1/model.safetensors", 0},       {"deep/lr1/optimizer.pt", -1},
      {"deep/lr1/old/model.pt", -1},           {"deep/lr10/x/best.safetensors", 1},
      {"deep/lr2/best.safetensors", 2},        {"deep/.hidden/best.safetensors", 2},
      {"deep/lr2/.part.safetensors", -1},      {"runs/B/best.safetensors", 0},
      {"runs/a/best.safetensors", 1},          {"runs/a/last.safetensors", -1},
      {"runs/c d/best.safetensors", 2},        {"runs/c d/x/best.safetensors", 2},
      {"odd/100% [1].safetensors", 0},         {"odd/a+b&c=d.safetensors", 1},
      {"odd/\xc3\xa9t\xc3\xa9.safetensors", 2}};
  for (const auto& [key, ingredient] : keys) put(key, ingredient);
  for (const char* folder : {"flat", "deep/lr1", "deep/empty", "empty"}) {
    store_->MakeFolder(absl::StrCat("sweep/", folder));
  }
  const std::vector<std::string> odd = {"odd/100%25%20%5B1%5D.safetensors",
                                        "odd/a+b&c=d.safetensors", "odd/%C3%A9t%C3%A9.safetensors"};
  struct Case {
    const char* what;
    std::vector<std::string> expected;  // none: CHECKPOINT_NOT_FOUND
  };
  const Case cases[] = {
      {"flat/", {"flat/good_0.safetensors", "flat/good_1.safetensors", "flat/good_2.safetensors"}},
      {"deep/",
       {"deep/lr1/model.safetensors", "deep/lr10/x/best.safetensors", "deep/lr2/best.safetensors"}},
      {"odd/", odd},
      {"good_?.safetensors", {"good_0.safetensors", "good_1.safetensors", "good_2.safetensors"}},
      {"fl*t/good_[0-2]*",
       {"flat/good_0.safetensors", "flat/good_1.safetensors", "flat/good_2.safetensors"}},
      {"runs/*/best.safetensors",
       {"runs/B/best.safetensors", "runs/a/best.safetensors", "runs/c%20d/best.safetensors"}},
      {"odd/*.safetensors", odd},
      {"none/", {}},
      {"none/*.safetensors", {}},
      {"fla/", {}},
      {"empty/", {}},
      {"deep/empty/", {}},
      {"runs/*/none.safetensors", {}},
      {"*/none/*", {}},
  };
  const auto server = Start();
  for (const Case& of : cases) {
    SCOPED_TRACE(of.what);
    v1::JobSpec spec = SpecAt(place_);
    spec.clear_ingredients();
    const bool is_prefix = absl::EndsWith(of.what, "/");
    const std::string uri = place_ + of.what;
    is_prefix ? spec.add_ingredients()->set_uri(uri) : spec.add_ingredients()->set_uri_pattern(uri);
    const v1::Job job = server->Run(spec);
    if (of.expected.empty()) {
      EXPECT_EQ(DetailsOf(job.error()).reason, "CHECKPOINT_NOT_FOUND") << job.error().message();
      continue;
    }
    ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
    std::vector<std::string> found;
    for (const auto& ingredient : job.report().result().ingredients()) {
      found.push_back(ingredient.uri().substr(place_.size()));
    }
    EXPECT_EQ(found, of.expected);
  }
}

TEST_P(ObjectStoreTest, AWholeBucketIsAFolderAsWell) {
  const auto server = Start(store_->Root(), "");
  const std::string az = store_->scheme() == "abfs" ? "az://stockpot-test/" : store_->Root();
  for (const std::string& root : {store_->Root(), az}) {
    v1::JobSpec spec = SpecAt(place_);
    spec.clear_ingredients();
    spec.add_ingredients()->set_uri_pattern(root + "s*p/good_?.safetensors");
    const v1::Job job = server->Run(spec);
    ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
    EXPECT_EQ(WithoutUris(job.report().result()), LocalResult());
    EXPECT_EQ(job.report().result().ingredients(1).uri(), place_ + "good_1.safetensors");
    // models/linear.pt and data.safetensors are named as checkpoints are.
    spec.clear_ingredients();
    spec.add_ingredients()->set_uri(root);
    spec.set_on_bad_ingredient(v1::JobSpec::SKIP);
    EXPECT_EQ(server->Run(spec).report().result().ingredients_size(), kIngredients + 2);
  }
}

TEST_P(ObjectStoreTest, DataSetsOfEveryFormatAreThoseOfLocalFiles) {
  const DigitSets sets;
  for (const auto& [name, content] : FolderContents(sets.folder())) {
    store_->Put("sweep/sets/" + name, content);
  }
  store_->MakeFolder("sweep/sets/folder");
  store_->MakeFolder("sweep/sets/folder/3");
  const auto digest_of = [](ServerProcess* server, const v1::DataSet& set) {
    v1::InspectSourceRequest request;
    *request.mutable_data_set() = set;
    v1::InspectSourceResponse response;
    grpc::ClientContext context;
    const grpc::Status status = server->stub().InspectSource(&context, request, &response);
    EXPECT_TRUE(status.ok()) << set.uri() << ": " << status.error_message();
    return response.data_set().digest();
  };
  ServerProcess local({.workers = 1, .allowed_roots = {sets.folder()}});
  const auto server = Start();
  for (const DigitSets::Source& source : DigitSets::Sources()) {
    EXPECT_EQ(digest_of(server.get(), DigitSets::DataSetOf(source, place_ + "sets/")),
              digest_of(&local, DigitSets::DataSetOf(source, sets.folder() + "/")));
  }
}

TEST_P(ObjectStoreTest, WhatChangedSinceTheLastJobIsReadAgain) {
  const auto server = Start();
  ASSERT_EQ(server->Run(SpecAt(place_)).state(), v1::Job::SUCCEEDED);
  std::filesystem::remove(sweep_ / "good_1.safetensors");
  WriteSafetensors(sweep_ / "good_1.safetensors",
                   TinySweep::Checkpoint(std::vector<float>(12, 0.5f), {3, 4}));
  absl::SleepFor(absl::Milliseconds(1100));  // times have whole seconds on some wires
  store_->Put("sweep/good_1.safetensors", ReadWhole(sweep_ / "good_1.safetensors"));
  const v1::Job job = server->Run(SpecAt(place_));
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(WithoutUris(job.report().result()), LocalResult()) << "of the new content";
}

TEST_P(ObjectStoreTest, WrongKeysAndMissingObjectsAreSaid) {
  auto server = Start();
  v1::JobSpec spec = SpecAt(place_);
  spec.mutable_ingredients(1)->set_uri(place_ + "none.safetensors");
  EXPECT_EQ(DetailsOf(server->Run(spec).error()).reason, "CHECKPOINT_NOT_FOUND");
  if (store_->scheme() == "gs") return;  // asks for no credentials
  server = nullptr;
  store_->SpoilCredentials();
  server = Start();
  EXPECT_EQ(DetailsOf(server->Run(SpecAt(place_)).error()).reason, "SOURCE_FORBIDDEN");
}

INSTANTIATE_TEST_SUITE_P(Stores, ObjectStoreTest, testing::ValuesIn(ObjectEmulator::kKinds),
                         [](const auto& store) { return std::string(store.param.scheme); });

}  // namespace
}  // namespace stockpot
