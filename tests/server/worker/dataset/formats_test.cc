// The same examples in every format, and what each format refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "server/base/status.h"
#include "tests/server/worker/dataset/fixtures.h"
#include "tests/support/data_set_writer/data_set_writer.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::IsEmpty;
using Kind = DataSetSource::Kind;

// Four images of two classes, in an order that is that of an image folder as well.
const NamedBytes& Images() {
  static const auto* const images = new NamedBytes{{"cat/0.jpg", ReadFixture("444.jpg")},
                                                   {"cat/1.jpg", ReadFixture("420.jpg")},
                                                   {"dog/0.jpg", ReadFixture("rgb.jpg")},
                                                   {"dog/1.jpg", ReadFixture("grey.jpg")}};
  return *images;
}
std::vector<std::string> Contents() {
  std::vector<std::string> contents;
  for (const auto& [name, content] : Images()) contents.push_back(content);
  return contents;
}
const std::vector<int64_t> kLabels = {0, 0, 1, 1};
const std::vector<std::string> kNames = {"cat", "dog"};

class FormatsTest : public testing::Test {
 protected:
  FormatsTest() {
    for (const auto& [name, content] : Images()) folder_.Write(name, content);
    source_.path = folder_.path();
  }

  std::string Path(const std::string& name) const { return folder_.path() + "/../" + name; }

  void Make(Kind kind, const std::string& name) {
    source_.kind = kind;
    source_.path = Path(name);
    source_.files = {{name, source_.path}};
    source_.folder = folder_.path();
  }

  // Writes a manifest beside the image folder's classes.
  void MakeManifest(Kind kind, const std::string& text) {
    folder_.Write("manifest.txt", text);
    Make(kind, "data/manifest.txt");
  }

  void MakeTar(const NamedBytes& members) {
    WriteBytes(Path("set.tar"), Tar(members));
    Make(Kind::kWebDataset, "set.tar");
  }

  void MakeParquet(const ParquetTable& table) {
    WriteParquet(Path("set.parquet"), table);
    Make(Kind::kParquet, "set.parquet");
  }

  std::string FolderDigest() const { return folder_.Open().value()->digest(); }

  void ExpectSameAsFolder(const std::vector<std::string>& names = kNames) {
    const auto data_set = folder_.Open(source_);
    ASSERT_TRUE(data_set.ok()) << data_set.status();
    EXPECT_THAT((*data_set)->labels(), ElementsAreArray(kLabels));
    EXPECT_THAT((*data_set)->class_names(), ElementsAreArray(names));
    EXPECT_EQ((*data_set)->class_count(), 2);
    EXPECT_EQ((*data_set)->digest(), FolderDigest());
  }

  void ExpectRefused(const std::string& reason, const std::string& message) {
    const absl::Status status = folder_.Open(source_).status();
    EXPECT_EQ(GetErrorFacts(status).reason, reason) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }

  DataSetFolder folder_;
  DataSetSource source_;
};

// ---- WebDataset ----

TEST_F(FormatsTest, TarOfTheSameExamplesIsTheSame) {
  MakeTar({{"s/0.jpg", Contents()[0]},
           {"s/0.cls", "0"},
           {"s/1.cls", "0\n"},
           {"s/1.jpg", Contents()[1]},
           {"__meta__/x.json", "{}"},
           {"README", "passed over"},
           {"s/2.JPG", Contents()[2]},
           {"s/2.cls", "1"},
           {"s/3.seg.png", "another extension"},
           {"s/3.jpg", Contents()[3]},
           {"s/3.cls", "1"}});
  ExpectSameAsFolder({});
}

TEST_F(FormatsTest, TarLabelsMayBeNamesAndStandInJsonOrText) {
  MakeTar({{"0.jpg", Contents()[0]},
           {"0.json", R"({"id": 7, "what": "cat"})"},
           {"1.jpg", Contents()[1]},
           {"1.json", R"({"what": "cat"})"},
           {"2.jpg", Contents()[2]},
           {"2.json", R"({"what": "dog"})"},
           {"3.jpg", Contents()[3]},
           {"3.json", R"({"what": "dog"})"}});
  source_.label_tensor = "json:what";
  ExpectSameAsFolder();
}

TEST_F(FormatsTest, TarFilesComeOneAfterAnother) {
  WriteBytes(Path("a.tar"), Tar({{"0.jpg", Contents()[0]},
                                 {"0.txt", "cat"},
                                 {"1.jpg", Contents()[1]},
                                 {"1.txt", "cat"}}));
  // Keys may be those of another file; a pax header may name a member, and GNU's long name too.
  const std::string long_name = std::string(150, 'k') + ".jpg";
  WriteBytes(Path("b.tar"), TarEntry("folder/", "", '5') + TarEntry("pax", "14 path=0.jpg\n", 'x') +
                                TarEntry("short", Contents()[2]) + TarEntry("0.txt", "dog") +
                                TarEntry("././@LongLink", long_name, 'L') +
                                TarEntry("cut", Contents()[3]) +
                                TarEntry("././@LongLink", std::string(150, 'k') + ".txt", 'L') +
                                TarEntry("cut", "dog") + TarEnd() + std::string(9216, '\0'));
  Make(Kind::kWebDataset, "");
  source_.files = {{"a.tar", Path("a.tar")}, {"b.tar", Path("b.tar")}};
  source_.label_tensor = "txt";
  ExpectSameAsFolder();
}

TEST_F(FormatsTest, TarAttacksAreRefused) {
  const std::string image = TarEntry("0.jpg", Contents()[0]), label = TarEntry("0.cls", "0");
  const std::string good = image + label + TarEnd();
  std::string bad_sum = good, huge = good, negative = good;
  bad_sum[0] = 'x';
  const auto with_size = [](const std::string& size) {
    std::string entry = TarEntry("0.jpg", "");
    entry.replace(124, 12, size);
    unsigned sum = 0;
    for (size_t i = 0; i < 512; ++i) {
      sum += i >= 148 && i < 156 ? ' ' : static_cast<unsigned char>(entry[i]);
    }
    char text[9];
    snprintf(text, sizeof(text), "%06o", sum);
    entry.replace(148, 6, std::string(text, 6));
    return entry;
  };
  const std::pair<std::string, const char*> attacks[] = {
      {"", "ends at 0"},
      {"GIF89a", "not a tar file but a GIF image"},
      {"\x1f\x8b\x08 and so on", "not a tar file but compressed by gzip"},
      {std::string(2048, 'x'), "not a tar file"},
      {bad_sum, "wrong checksum"},
      {image + label, "without a mark of its end"},
      {good.substr(0, 700), "the file ends before"},
      {image + label + std::string(512, '\0'), "cut off"},
      {good + image, "something follows"},
      {with_size("777777777777") + TarEnd(), "the file ends before"},
      {with_size(std::string("\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12)) + TarEnd(),
       "no number"},
      {with_size(std::string(12, '\xff')) + TarEnd(), "no number"},
      {with_size("12x456789012") + TarEnd(), "no number"},
      {TarEntry("0.jpg", "", '2') + TarEnd(), "link"},
      {TarEntry("0.jpg", "", '1') + TarEnd(), "link"},
      {TarEntry("0.jpg", "", '3') + TarEnd(), "link"},
      {TarEntry("x", "30 GNU.sparse.size=99\n", 'x') + good, "damaged pax"},
      {TarEntry("x", "22 GNU.sparse.size=99\n", 'x') + good, "sparse"},
      {TarEntry("x", "9 size=x\n", 'x') + good, "no number"},
      {TarEntry("x", "99999999999 a=b\n", 'x') + good, "damaged pax"},
      {TarEntry("x", "5 a=b", 'x') + good, "damaged pax"},
      {TarEntry("x", "10 path=x\n", 'g') + good, "global"},
      {TarEntry("x", std::string(100'000, 'n'), 'L') + good, "too large"},
      {image + label + TarEntry("x", "7 a=bc\n", 'x') + TarEnd(), "describes no member"},
      {image + label + TarEntry("x", "name", 'L') + TarEnd(), "describes no member"},
      {image + TarEntry("0.png", Contents()[0]) + label + TarEnd(), "two of a kind"},
      {image + TarEnd(), "has no .cls; it has .jpg"},
      {label + TarEnd(), "has no .jpg"},
      {image + label + TarEntry("1.jpg", "x") + TarEntry("1.cls", "0") + image + label + TarEnd(),
       "comes again"},
  };
  for (const auto& [bytes, message] : attacks) {
    WriteBytes(Path("set.tar"), bytes);
    Make(Kind::kWebDataset, "set.tar");
    ExpectRefused("DATA_SET_INVALID", message);
  }
  MakeTar({{"README", "no example"}});
  ExpectRefused("DATA_SET_EMPTY", "no example");
  MakeTar({{"0.jpg", "no image"}, {"0.cls", "0"}});
  ExpectRefused("IMAGE_UNREADABLE", "set.tar: 0.jpg");
  MakeTar({{"0.jpg", Contents()[0]}, {"0.cls", "-1"}});
  ExpectRefused("LABEL_OUT_OF_RANGE", "set.tar: 0.jpg");
}

// Whatever byte of a tar file is another, it is read or refused, and never more than the file.
TEST_F(FormatsTest, TarWithAnyByteChangedIsReadOrRefused) {
  const std::string good = Tar({{"0.jpg", Contents()[0].substr(0, 100)}, {"0.cls", "0"}});
  for (size_t at = 0; at < good.size(); at += 7) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x81);
    WriteBytes(Path("set.tar"), bytes);
    Make(Kind::kWebDataset, "set.tar");
    EXPECT_FALSE(folder_.Open(source_).ok());  // the image itself is cut short
  }
}

// ---- Manifests ----

TEST_F(FormatsTest, CsvOfTheSameExamplesIsTheSame) {
  MakeManifest(Kind::kCsv,
               "\xef\xbb\xbflabel,note,path\r\ncat,\"a, \"\"b\"\"\nc\",cat/0.jpg\r\n"
               "cat,,\"cat/1.jpg\"\n\ndog,,dog/0.jpg\ndog,,dog/./1.jpg");
  ExpectSameAsFolder();
  MakeManifest(Kind::kCsv, "file,klass\ncat/0.jpg,0\ncat/1.jpg,0\ndog/0.jpg,1\ndog/1.jpg,1\n");
  source_.label_tensor = "klass";
  ExpectSameAsFolder({});
  source_.class_names = kNames;
  ExpectSameAsFolder();
}

TEST_F(FormatsTest, JsonLinesOfTheSameExamplesIsTheSame) {
  MakeManifest(Kind::kJsonLines,
               "{\"path\": \"cat/0.jpg\", \"label\": \"cat\", \"split\": \"a\"}\r\n"
               "{\"path\": \"dog/1.jpg\", \"label\": \"dog\", \"split\": \"b\"}\n\n"
               "{\"path\": \"cat/1.jpg\", \"label\": \"cat\", \"split\": \"a\"}\n"
               "{\"path\": \"dog/0.jpg\", \"label\": \"dog\", \"split\": \"a\"}\n"
               "{\"path\": \"dog/1.jpg\", \"label\": \"dog\", \"split\": \"a\"}");
  source_.split = "a";
  ExpectSameAsFolder();
  source_.split = "c";
  ExpectRefused("DATA_SET_EMPTY", "no entry of split c");
}

TEST_F(FormatsTest, ManifestsCannotLeaveTheirFolder) {
  WriteBytes(Path("secret.jpg"), Contents()[0]);
  ASSERT_EQ(symlink(Path("secret.jpg").c_str(), (folder_.path() + "/link.jpg").c_str()), 0);
  ASSERT_EQ(symlink("..", (folder_.path() + "/up").c_str()), 0);
  for (const auto& [path, message] :
       std::vector<std::pair<std::string, const char*>>{{"../secret.jpg", "'..'"},
                                                        {"cat/../../secret.jpg", "'..'"},
                                                        {Path("secret.jpg"), "relative"},
                                                        {"/etc/passwd", "relative"},
                                                        {"link.jpg", "leaves the folder"},
                                                        {"up/secret.jpg", "leaves the folder"}}) {
    MakeManifest(Kind::kCsv, "path,label\n" + path + ",0\n");
    ExpectRefused("DATA_SET_INVALID", message);
    ExpectRefused("DATA_SET_INVALID", "line 2");
  }
  for (const char* path : {"missing.jpg", "cat", "cat/"}) {
    MakeManifest(Kind::kCsv, std::string("path,label\n") + path + ",0\n");
    ExpectRefused("IMAGE_UNREADABLE", path);
  }
}

TEST_F(FormatsTest, BadManifestsAreRefused) {
  const std::string line = "cat/0.jpg,0\n";
  for (const auto& [text, message] : std::vector<std::pair<std::string, const char*>>{
           {"", "no header line"},
           {"path\n", "no column label; the header line has: path, and label_tensor names another"},
           {"path,label,label\n", "column label more than once"},
           {"path,path,label\n", "column path more than once"},
           {"path,label\n" + line + "cat/1.jpg,\n", "label of cat/1.jpg is empty"},
           {"path,label\n" + line + "cat/1.jpg,cat\n", "'0' of cat/0.jpg and 'cat' of cat/1.jpg"},
           {"path,label\ncat/0.jpg,0.0\n", "'0.0' of cat/0.jpg"},
           {"label\n", "no column path, file_name, image, file"},
           {"path,label\ncat/0.jpg\n", "line 2: 1 fields"},
           {"path,label\n" + line + "cat/0.jpg,0,1\n", "line 3: 3 fields"},
           {"path,label\n\"cat/0.jpg,0\n", "not closed"},
           {"path,label\n\"cat\"/0.jpg,0\n", "behind its closing quote"},
           {"path,label\n,0\n", "path is empty"},
           {"path,label\n" + std::string(2 << 20, 'x') + ",0\n", "longer than"},
           {std::string(2000, ',') + "\n", "more than 1000 columns"}}) {
    MakeManifest(Kind::kCsv, text);
    ExpectRefused("DATA_SET_INVALID", message);
  }
  for (const auto& [text, message] : std::vector<std::pair<std::string, const char*>>{
           {"[]\n", "line 1: not a JSON object"},
           {"{\"path\": \"cat/0.jpg\"}\n", "no field 'label'"},
           {"{\"label\": 0}\n", "no field with a path"},
           {"{\"path\": 3, \"label\": 0}\n", "no field with a path"},
           {"{\"path\": \"cat/0.jpg\", \"label\": 0.5}\n", "neither"},
           {"\n\n{\"path\": \n", "line 3"},
           {std::string(1000, '[') + "\n", "line 1"}}) {
    MakeManifest(Kind::kJsonLines, text);
    ExpectRefused("DATA_SET_INVALID", message);
  }
  MakeManifest(Kind::kCsv, "path,label\n");
  ExpectRefused("DATA_SET_EMPTY", "no entries");
}

// ---- Parquet ----

ParquetTable ImageTable() {
  return {.images = {{"image", Contents()}},
          .numbers = {{"label", kLabels}},
          .huggingface = HuggingFaceFeatures(kNames)};
}

TEST_F(FormatsTest, ParquetOfTheSameExamplesIsTheSame) {
  for (const int64_t rows_per_group : {1, 3, 100}) {
    ParquetTable table = ImageTable();
    table.rows_per_group = rows_per_group;
    MakeParquet(table);
    ExpectSameAsFolder();
    table.images[0].as_struct = false;
    MakeParquet(table);
    ExpectSameAsFolder();
  }
}

// ---- Weights ----

TEST_F(FormatsTest, ImagesHaveTheSameWeightsInEveryFormat) {
  const std::string unweighted = FolderDigest();
  std::vector<std::string> digests;
  const auto expect_weights = [&](const char* weights) {
    source_.weight_tensor = weights;
    source_.selection.limit = 0;
    const auto data_set = folder_.Open(source_);
    ASSERT_TRUE(data_set.ok()) << data_set.status();
    EXPECT_THAT((*data_set)->weights(), ElementsAre(2, 0, 1, 3));
    digests.push_back((*data_set)->digest());
    source_.selection.limit = 3;
    EXPECT_THAT((*folder_.Open(source_))->weights(), ElementsAre(2, 0, 1));
  };
  ParquetTable table = ImageTable();
  table.numbers.push_back({"w", {2, 0, 1, 3}});
  table.rows_per_group = 3;
  MakeParquet(table);
  expect_weights("w");
  MakeManifest(Kind::kCsv,
               "path,w,label\ncat/0.jpg,2.0,cat\ncat/1.jpg,0,cat\ndog/0.jpg,1e0,dog\n"
               "dog/1.jpg,3,dog\n");
  expect_weights("w");
  MakeManifest(Kind::kJsonLines,
               "{\"path\": \"cat/0.jpg\", \"label\": 0, \"w\": 2}\n"
               "{\"path\": \"cat/1.jpg\", \"label\": 0, \"w\": 0.0}\n"
               "{\"path\": \"dog/0.jpg\", \"label\": 1, \"w\": \"1\"}\n"
               "{\"path\": \"dog/1.jpg\", \"label\": 1, \"w\": 3.0}\n");
  expect_weights("w");
  NamedBytes members, described;
  const char* const weights[] = {"2", "0", " 1.0\n", "3"};
  for (size_t i = 0; i < 4; ++i) {
    const std::string key = std::to_string(i);
    members.insert(members.end(), {{key + ".jpg", Contents()[i]},
                                   {key + ".cls", std::to_string(kLabels[i])},
                                   {key + ".Weight", weights[i]}});
    described.insert(described.end(),
                     {{key + ".jpg", Contents()[i]},
                      {key + ".cls", std::to_string(kLabels[i])},
                      {key + ".json", std::string("{\"w\": ") + weights[i] + "}"}});
  }
  MakeTar(members);
  expect_weights("weight");
  MakeTar(described);
  expect_weights("json:w");
  EXPECT_EQ(std::set<std::string>(digests.begin(), digests.end()).size(), 1u);
  EXPECT_NE(digests[0], unweighted);
}

TEST_F(FormatsTest, BadWeightsOfImagesAreRefused) {
  source_.weight_tensor = "w";
  for (const auto& [weight, message] :
       std::vector<std::pair<std::string, const char*>>{{"-1", "line 2: the weight '-1'"},
                                                        {"x", "line 2: the weight 'x'"},
                                                        {"", "line 2: the weight ''"},
                                                        {"nan", "the weight 'nan'"},
                                                        {"inf", "the weight 'inf'"},
                                                        {"1e999", "the weight '1e999'"},
                                                        {"0", "weights 'w' are all 0"}}) {
    MakeManifest(Kind::kCsv, "path,label,w\ncat/0.jpg,0," + weight + "\n");
    ExpectRefused("DATA_SET_INVALID", message);
  }
  MakeManifest(Kind::kCsv, "path,label\ncat/0.jpg,0\n");
  ExpectRefused("DATA_SET_INVALID", "no column w");
  for (const auto& [weight, message] : std::vector<std::pair<std::string, const char*>>{
           {"-0.5", "the weight '-0.5'"}, {"true", "neither"}, {"[1]", "neither"}}) {
    MakeManifest(Kind::kJsonLines,
                 "{\"path\": \"cat/0.jpg\", \"label\": 0, \"w\": " + weight + "}\n");
    ExpectRefused("DATA_SET_INVALID", message);
  }
  MakeTar({{"0.jpg", Contents()[0]}, {"0.cls", "0"}});
  ExpectRefused("DATA_SET_INVALID", "has no .w");
  ParquetTable table = ImageTable();
  table.numbers.push_back({"w", {1, 1, -2, 1}});
  MakeParquet(table);
  ExpectRefused("DATA_SET_INVALID", "weight of example 2 is -2");
  source_.weight_tensor = "image";
  ExpectRefused("DATA_SET_INVALID", "holds no weights");
}

TEST_F(FormatsTest, ParquetColumnsAreMapped) {
  MakeParquet({.images = {{"img", {"x", "x", "x", "x"}}, {"photo", Contents()}},
               .numbers = {{"label", {9, 9, 9, 9}}},
               .texts = {{"species", {"cat", "cat", "dog", "dog"}}}});
  source_.image_column = "photo";
  source_.label_tensor = "species";
  ExpectSameAsFolder();
  source_.label_tensor = "breed";
  ExpectRefused("DATA_SET_INVALID", "no column 'breed'; there are: img, photo, label, species");
  source_.label_tensor = "img";
  ExpectRefused("DATA_SET_INVALID", "holds no labels");
  source_.image_column = "label";
  ExpectRefused("DATA_SET_INVALID", "holds no encoded images");
}

TEST_F(FormatsTest, ParquetFolderIsReadByItsSplit) {
  ParquetTable table = ImageTable(), first = ImageTable(), second = ImageTable();
  first.images[0].rows.resize(1);
  first.numbers[0].rows.resize(1);
  second.images[0].rows.erase(second.images[0].rows.begin());
  second.numbers[0].rows.erase(second.numbers[0].rows.begin());
  std::filesystem::create_directories(Path("hub/data"));
  WriteParquet(Path("hub/data/test-00000-of-00002.parquet"), first);
  WriteParquet(Path("hub/data/test-00001-of-00002.parquet"), second);
  WriteParquet(Path("hub/data/train-00000-of-00001.parquet"), table);
  Make(Kind::kParquet, "hub");
  source_.files.clear();
  source_.split = "test";
  ExpectSameAsFolder();
  source_.split = "validation";
  ExpectRefused("DATA_SET_EMPTY", "split validation");
  source_.split = "";
  EXPECT_EQ(folder_.Open(source_).value()->size(), 8);
  std::filesystem::rename(Path("hub/data/test-00000-of-00002.parquet"), Path("first"));
  ExpectRefused("DATA_SET_INVALID", "part 0 of data/test is missing (1 of 2 files");
  source_.split = "train";
  ExpectSameAsFolder();
  source_.split = "";
  std::filesystem::rename(Path("first"), Path("hub/data/test-00000-of-00002.parquet"));
  second.numbers[0].name = "other";
  WriteParquet(Path("hub/data/test-00001-of-00002.parquet"), second);
  ExpectRefused("DATA_SET_INVALID", "its columns are others");
}

TEST_F(FormatsTest, ParquetNumbersAreTensors) {
  const std::vector<std::vector<float>> rows = {{1, 2}, {3, 4}, {5, 6}, {7, 8}};
  const std::vector<float> flat = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::string digest =
      folder_
          .Open(WriteTensors(Path("t.safetensors"),
                             {MakeTensor("labels", DType::kInt64, {4}, kLabels),
                              MakeTensor("x", DType::kFloat32, {4, 2}, flat)}))
          .value()
          ->digest();
  for (const bool fixed_size : {false, true}) {
    for (const int64_t rows_per_group : {1, 3, 100}) {
      MakeParquet({.numbers = {{"labels", kLabels}},
                   .texts = {{"sentence", {"a", "b", "c", "d"}}},
                   .lists = {{"x", rows, fixed_size}},
                   .rows_per_group = rows_per_group});
      const auto data_set = folder_.Open(source_);
      ASSERT_TRUE(data_set.ok()) << data_set.status();
      EXPECT_EQ((*data_set)->digest(), digest);
      EXPECT_THAT((*data_set)->inputs()[0].shape, ElementsAre(2));
    }
  }
}

TEST_F(FormatsTest, BadParquetIsRefused) {
  ParquetTable table = ImageTable();
  table.images[0].rows[2] = "";
  MakeParquet(table);
  ExpectRefused("DATA_SET_INVALID", "row 2");
  table = ImageTable();
  table.images[0].rows[2] = "no image";
  MakeParquet(table);
  ExpectRefused("IMAGE_UNREADABLE", "set.parquet: row 2");
  table = ImageTable();
  table.numbers[0].rows[3] = 2;
  MakeParquet(table);
  ExpectRefused("LABEL_OUT_OF_RANGE", "set.parquet: row 3");
  table.numbers[0].rows[3] = -1;
  MakeParquet(table);
  ExpectRefused("LABEL_OUT_OF_RANGE", "set.parquet: row 3 is -1");
  table.huggingface = "{";
  MakeParquet(table);
  ExpectRefused("DATA_SET_INVALID", "huggingface");
  table.numbers.clear();
  table.huggingface = "";
  MakeParquet(table);
  ExpectRefused("DATA_SET_INVALID", "no column label or labels");
  MakeParquet({.numbers = {{"label", kLabels}}, .texts = {{"text", {"a", "b", "c", "d"}}}});
  ExpectRefused("DATA_SET_INVALID", "besides the labels no column holds numbers");
  WriteBytes(Path("set.parquet"), "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
  ExpectRefused("DATA_SET_INVALID", "not a Parquet file but a Git LFS pointer");
  MakeParquet({.images = {{"image", {}}}, .numbers = {{"label", {}}}});
  ExpectRefused("DATA_SET_EMPTY", "no rows");
  MakeParquet(ImageTable());
  source_.files = {{"gone.parquet", Path("gone.parquet")}};
  ExpectRefused("DATA_SET_NOT_FOUND", "gone.parquet");
}

TEST_F(FormatsTest, ParquetKeepsItsLimits) {
  MakeParquet(ImageTable());
  DataSetLimits limits;
  limits.max_row_group_bytes = 1000;
  EXPECT_THAT(std::string(folder_.Open(source_, limits).status().message()),
              HasSubstr("row group"));
  limits = {};
  limits.max_examples = 3;
  EXPECT_THAT(std::string(folder_.Open(source_, limits).status().message()),
              HasSubstr("more than 3 rows"));
}

// Whatever byte of a Parquet file is another, it is read or refused.
TEST_F(FormatsTest, ParquetWithAnyByteChangedIsReadOrRefused) {
  WriteParquet(Path("good.parquet"),
               {.numbers = {{"labels", {0, 1}}}, .lists = {{"x", {{1, 2}, {3, 4}}, false}}});
  std::ifstream file(Path("good.parquet"), std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(file)), {});
  for (size_t at = 0; at < good.size(); at += 3) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x55);
    WriteBytes(Path("set.parquet"), bytes);
    Make(Kind::kParquet, "set.parquet");
    const auto data_set = folder_.Open(source_);
    if (data_set.ok()) {
      EXPECT_EQ((*data_set)->size(), 2);
    }
  }
  for (const size_t size : {size_t{0}, size_t{4}, size_t{12}, good.size() / 2, good.size() - 1}) {
    WriteBytes(Path("set.parquet"), good.substr(0, size));
    Make(Kind::kParquet, "set.parquet");
    ExpectRefused("DATA_SET_INVALID", "");
  }
}

// ---- NumPy ----

std::string BytesOf(const auto& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0])};
}

TEST_F(FormatsTest, NumpyOfTheSameTensorsIsTheSame) {
  const std::vector<float> flat = {1, 2, 3, 4, 5, 6, 7, 8};
  const std::string digest =
      folder_
          .Open(WriteTensors(Path("t.safetensors"),
                             {MakeTensor("labels", DType::kInt64, {4}, kLabels),
                              MakeTensor("x", DType::kFloat32, {4, 2, 1}, flat)}))
          .value()
          ->digest();
  const std::string x = Npy("<f4", "(4, 2, 1)", BytesOf(flat));
  const std::string labels = Npy("<i8", "(4,)", BytesOf(kLabels));
  WriteBytes(Path("set.npz"), StoredZip({{"x.npy", x}, {"labels.npy", labels}}));
  Make(Kind::kNumpy, "set.npz");
  EXPECT_EQ(folder_.Open(source_).value()->digest(), digest);
  WriteBytes(Path("arrays/x.npy"), x);
  WriteBytes(Path("arrays/labels.npy"), labels);
  Make(Kind::kNumpy, "arrays");
  EXPECT_EQ(folder_.Open(source_).value()->digest(), digest);
  Make(Kind::kNumpy, "arrays/x.npy");
  ExpectRefused("DATA_SET_INVALID", "has no labels");
}

TEST_F(FormatsTest, NumpyAttacksAreRefused) {
  const std::string good = Npy("<i8", "(4,)", BytesOf(kLabels));
  const auto header = [](const std::string& text) {
    std::string file("\x93NUMPY\x01\x00", 8);
    file.push_back(static_cast<char>(text.size()));
    file.push_back('\0');
    return file + text;
  };
  const std::pair<std::string, const char*> attacks[] = {
      {"", "not a .npy file"},
      {"\x93NUMPY", "ends in its header"},
      {good.substr(0, 40), "ends in its header"},
      {good.substr(0, good.size() - 1), "there are 31"},
      {good + "x", "leaves bytes over"},
      {std::string("\x93NUMPY\x04\x00", 8) + good.substr(8), "unknown version"},
      {std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12), "too large"},
      {Npy("|O", "(1,)", "x"), "pickle"},
      {Npy("<U4", "(1,)", "x"), "not read"},
      {Npy(">i8", "(4,)", BytesOf(kLabels)), "big-endian"},
      {Npy("<i8", "(-4,)", ""), "damaged shape"},
      {Npy("<i8", "(99999999999999999999,)", ""), "damaged shape"},
      {Npy("<i8", "(4294967296, 4294967296, 8)", ""), "too large for any file"},
      {Npy("<i8", "(0, 4294967296, 4294967296)", ""), "too large for any file"},
      {Npy("<i8", "(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)", ""), "damaged shape"},
      {Npy("<i8", "4", ""), "no shape"},
      {header("{'descr': [('a', '<i8')], 'fortran_order': False, 'shape': (4,)}"), "structured"},
      {header("{'descr': '<i8', 'fortran_order': True, 'shape': (2, 2)}"), "Fortran"},
      {header("{'descr': '<i8', 'descr': '<i8', 'shape': (2, 2)}"), "twice"},
      {header("{'descr': '<i8', 'shape': (2, 2)}"), "lacks"},
      {header("{'descr': '<i8', 'fortran_order': 0, 'shape': (2, 2)}"), "no order"},
      {header("{'descr': '<i8', 'fortran_order': False, 'shape': (2, 2)} x"), "behind its end"},
      {header("__import__('os')"), "no dictionary"},
      {header("{'descr"), "no text"},
  };
  for (const auto& [bytes, message] : attacks) {
    WriteBytes(Path("set.npz"), StoredZip({{"labels.npy", bytes}, {"x.npy", good}}));
    Make(Kind::kNumpy, "set.npz");
    ExpectRefused("DATA_SET_INVALID", message);
    ExpectRefused("DATA_SET_INVALID", "array 'labels'");
  }
  std::string damaged = StoredZip({{"labels.npy", good}, {"x.npy", good}});
  damaged[30 + 10 + good.size() + 30 + 5 + good.size() - 1] ^= 1;
  WriteBytes(Path("set.npz"), damaged);
  ExpectRefused("DATA_SET_INVALID", "CRC32");
  WriteBytes(Path("set.npz"), damaged.substr(0, damaged.size() / 2));
  ExpectRefused("DATA_SET_INVALID", "");
  WriteBytes(Path("set.npz"), StoredZip({{"readme.txt", "x"}}));
  ExpectRefused("DATA_SET_INVALID", "no .npy file");
}

// ---- Selection ----

TEST_F(FormatsTest, SelectionIsTheSameInEveryFormatOfImages) {
  const auto select = [&] {
    source_.selection = {.draws = true, .count = 3, .seed = 5};
    source_.label_map = {{"cat", "animal"}, {"dog", "pet"}};
  };
  select();
  source_.kind = Kind::kImageFolder;
  const auto folder = folder_.Open(source_).value();
  EXPECT_EQ(folder->size(), 3);
  EXPECT_THAT(folder->class_names(), ElementsAre("animal", "pet"));
  MakeParquet(ImageTable());
  EXPECT_EQ(folder_.Open(source_).value()->digest(), folder->digest());
  MakeManifest(Kind::kCsv,
               "path,label\ncat/0.jpg,cat\ncat/1.jpg,cat\ndog/0.jpg,dog\ndog/1.jpg,dog");
  EXPECT_EQ(folder_.Open(source_).value()->digest(), folder->digest());
  // What is left.
  source_.selection.complement = true;
  const auto rest = folder_.Open(source_).value();
  EXPECT_EQ(rest->size(), 1);
  EXPECT_NE(rest->digest(), folder->digest());
}

TEST_F(FormatsTest, TensorsAreSelectedAndTheirLabelsMapped) {
  const auto write = [&](const std::string& name, const std::vector<int64_t>& labels,
                         const std::vector<float>& x) {
    const auto count = static_cast<int64_t>(labels.size());
    return WriteTensors(Path(name), {MakeTensor("labels", DType::kInt64, {count}, labels),
                                     MakeTensor("x", DType::kFloat32, {count, 1}, x)});
  };
  DataSetSource all = write("all.safetensors", {5, -1, 7, 5, 7}, {0, 1, 2, 3, 4});
  all.label_map = {{"5", "1"}, {"7", "0"}, {"-1", ""}};
  EXPECT_EQ(folder_.Open(all).value()->digest(),
            folder_.Open(write("a.safetensors", {1, 0, 1, 0}, {0, 2, 3, 4})).value()->digest());
  all.selection.limit = 3;
  EXPECT_EQ(folder_.Open(all).value()->digest(),
            folder_.Open(write("b.safetensors", {1, 0, 1}, {0, 2, 3})).value()->digest());
  all.label_map.erase("7");
  const absl::Status status = folder_.Open(all).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("label '7' is not in label_map"));
}

TEST_F(FormatsTest, ImageTransformOfTensorsIsRefused) {
  MakeParquet({.numbers = {{"labels", kLabels}}, .lists = {{"x", {{1}, {2}, {3}, {4}}, false}}});
  source_.geometry.resize_shorter_side = 3;
  ExpectRefused("DATA_SET_INVALID", "holds tensors");
}

}  // namespace
}  // namespace stockpot
