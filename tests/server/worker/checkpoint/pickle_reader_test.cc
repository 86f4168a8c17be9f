// Pickles written opcode by opcode: what each one may take, and what a torch.save file made of them
// may claim about its storages.
#include "server/worker/checkpoint/pickle_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/server/worker/checkpoint/checkpoint_files.h"
#include "tests/server/worker/checkpoint/zip_builder.h"

namespace stockpot {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const char kStart[] = "\x80\x02";

std::string Text(const std::string& text) {
  return absl::StrCat("X", ZipBuilder::Number(static_cast<uint32_t>(text.size())), text);
}
std::string Int(int32_t number) { return absl::StrCat("J", ZipBuilder::Number(number)); }
std::string Global(const std::string& module, const std::string& name) {
  return absl::StrCat("c", module, "\n", name, "\n");
}
std::string Tuple(const std::string& items) { return absl::StrCat("(", items, "t"); }
std::string Storage(const std::string& type, const std::string& key, int32_t count) {
  return absl::StrCat(Tuple(absl::StrCat(Text("storage"), Global("torch", type), Text(key),
                                         Text("cpu"), Int(count))),
                      "Q");
}
const char kHooks[] = "ccollections\nOrderedDict\n)R";

std::string Tensor(const std::string& storage, int32_t offset, const std::string& size,
                   const std::string& stride) {
  return absl::StrCat(
      Global("torch._utils", "_rebuild_tensor_v2"),
      Tuple(absl::StrCat(storage, Int(offset), Tuple(size), Tuple(stride), "\x89", kHooks)), "R");
}
// {"w": tensor}
std::string StateDictOf(const std::string& tensor) {
  return absl::StrCat(kStart, "}", Text("w"), tensor, "s.");
}
// A file with that pickle and a storage "0" of four floats.
std::string File(const std::string& pickle) {
  return ZipBuilder().Add("r/data.pkl", pickle).Add("r/data/0", std::string(16, '\1')).Build();
}
std::string FileError(const std::string& pickle) {
  absl::StatusOr<std::shared_ptr<const StateDict>> opened = OpenBytes(File(pickle));
  return Says(opened.status());
}
std::string TensorError(const std::string& tensor) { return FileError(StateDictOf(tensor)); }

std::string PickleError(const std::string& opcodes, CheckpointLimits limits = {}) {
  const std::string pickle = absl::StrCat(kStart, opcodes);
  return Says(ReadPickle(pickle, limits).status());
}

TEST(PickleReader, ReadsAWellFormedTensor) {
  auto opened =
      OpenBytes(File(StateDictOf(Tensor(Storage("FloatStorage", "0", 4), 1, Int(3), Int(1)))));
  ASSERT_TRUE(opened.ok()) << opened.status();
  const std::vector<TensorInfo> expected = {{"w", DType::kFloat32, {3}}};
  EXPECT_EQ((*opened)->tensors(), expected);
  std::vector<char> scratch;
  EXPECT_EQ((*opened)->Read(0, &scratch)->size(), 12u);
}

TEST(PickleReader, RefusesViewsOutsideTheirStorage) {
  const std::string storage = Storage("FloatStorage", "0", 4);
  EXPECT_THAT(TensorError(Tensor(storage, 2, Int(3), Int(1))),
              AllOf(StartsWith("INVALID_ARGUMENT CHECKPOINT_INVALID tensor 'w'"),
                    HasSubstr("reaches element 4 of a storage of 4")));
  EXPECT_THAT(TensorError(Tensor(storage, 0, Int(3), Int(2))), HasSubstr("reaches"));
  EXPECT_THAT(TensorError(Tensor(storage, -1, Int(3), Int(1))), HasSubstr("begins before"));
  EXPECT_THAT(TensorError(Tensor(storage, 3, Int(3), Int(-1))), HasSubstr("negative stride"));
  EXPECT_THAT(TensorError(Tensor(storage, 0, Int(-3), Int(1))), HasSubstr("size -3"));
  EXPECT_THAT(TensorError(Tensor(storage, 9, Int(0), Int(1))), HasSubstr("begins after"));
  const std::string huge("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", 10);  // 2^63 - 1
  EXPECT_THAT(TensorError(Tensor(storage, 0, huge, Int(1))), HasSubstr("too large"));
  EXPECT_THAT(TensorError(Tensor(storage, 0, absl::StrCat(Int(3), Int(3)), huge + huge)),
              HasSubstr("reaches"));
  EXPECT_THAT(TensorError(Tensor(storage, 0, absl::StrCat(Int(0), Int(3)), huge + huge)),
              StartsWith("OK"));
}

TEST(PickleReader, RefusesSmallStoragesMadeLarge) {
  EXPECT_THAT(TensorError(Tensor(Storage("FloatStorage", "0", 4), 0, Int(1 << 30), Int(0))),
              HasSubstr("repeats its storage"));
}

TEST(PickleReader, RefusesStoragesThatDifferFromTheirEntry) {
  EXPECT_THAT(TensorError(Tensor(Storage("FloatStorage", "0", 5), 0, Int(3), Int(1))),
              HasSubstr("has 5 elements, but zip entry 'r/data/0' has 16 bytes"));
  EXPECT_THAT(TensorError(Tensor(Storage("DoubleStorage", "0", 4), 0, Int(3), Int(1))),
              HasSubstr("has 16 bytes"));
  EXPECT_THAT(TensorError(Tensor(Storage("FloatStorage", "1", 4), 0, Int(3), Int(1))),
              HasSubstr("'r/data/1' is missing"));
  EXPECT_THAT(TensorError(Tensor(Storage("FloatStorage", "../0", 4), 0, Int(3), Int(1))),
              HasSubstr("'r/data/../0' is missing"));
  EXPECT_THAT(TensorError(Tensor(Storage("OddStorage", "0", 4), 0, Int(3), Int(1))),
              AllOf(StartsWith("UNIMPLEMENTED"), HasSubstr("torch.OddStorage")));
}

TEST(PickleReader, NoticesADamagedStorage) {
  const std::string pickle =
      StateDictOf(Tensor(Storage("FloatStorage", "0", 4), 0, Int(4), Int(1)));
  auto opened = OpenBytes(ZipBuilder()
                              .Add("r/data.pkl", pickle)
                              .Add("r/data/0", std::string(16, '\1'), ZipFaults::CrcFlip(1))
                              .Build());
  ASSERT_TRUE(opened.ok()) << opened.status();
  std::vector<char> scratch;
  EXPECT_THAT(
      Says((*opened)->Read(0, &scratch).status()),
      AllOf(StartsWith("INVALID_ARGUMENT CHECKPOINT_INVALID tensor 'w'"), HasSubstr("CRC32")));
}

TEST(PickleReader, RefusesADamagedPickleBeforeReadingIt) {
  EXPECT_THAT(
      Says(OpenBytes(ZipBuilder().Add("r/data.pkl", "garbage", ZipFaults::CrcFlip(1)).Build())
               .status()),
      HasSubstr("CRC32"));
}

TEST(PickleReader, RefusesRebuildsOfWrongTypes) {
  const std::string storage = Storage("FloatStorage", "0", 4);
  const std::string v2 = Global("torch._utils", "_rebuild_tensor_v2");
  const std::string ends = absl::StrCat(std::string("\x89"), kHooks);
  for (const std::string& arguments : {
           std::string(),
           absl::StrCat(storage, Int(0)),
           absl::StrCat(Int(7), Int(0), Tuple(Int(1)), Tuple(Int(1)), ends),
           absl::StrCat(storage, "N", Tuple(Int(1)), Tuple(Int(1)), ends),
           absl::StrCat(storage, Int(0), Tuple("N"), Tuple(Int(1)), ends),
           absl::StrCat(storage, Int(0), Int(1), Tuple(Int(1)), ends),
           absl::StrCat(storage, Int(0), Tuple(Int(1)), Tuple(absl::StrCat(Int(1), Int(1))), ends),
           absl::StrCat(storage, Int(0), Tuple(Int(1)), Tuple(Int(1)), "NN"),
       }) {
    EXPECT_THAT(TensorError(absl::StrCat(v2, Tuple(arguments), "R")),
                AllOf(StartsWith("INVALID_ARGUMENT"), HasSubstr("wrong types")));
  }
  EXPECT_THAT(PickleError(absl::StrCat(Global("torch._utils", "_rebuild_parameter"),
                                       Tuple(absl::StrCat(Int(1), Int(1), Int(1))), "R.")),
              HasSubstr("wrong types"));
  EXPECT_THAT(PickleError(absl::StrCat(Int(1), "Q.")), HasSubstr("persistent id"));
  EXPECT_THAT(PickleError(absl::StrCat(Tuple(absl::StrCat(Text("module"), Int(1))), "Q.")),
              HasSubstr("persistent id"));
}

TEST(PickleReader, TypeChecksEveryOpcode) {
  struct Case {
    const char* what;
    std::string opcodes;
    const char* message;
  };
  const std::vector<Case> cases = {
      {"item of a list", absl::StrCat("]", Int(1), Int(2), "s."), "setting items of a list"},
      {"items of an int", absl::StrCat(Int(1), "(", Int(1), Int(2), "u."),
       "setting items of an int"},
      {"key without value", absl::StrCat("}(", Int(1), "u."), "no value"},
      {"append to a dict", absl::StrCat("}", Int(1), "a."), "appending to a dict"},
      {"appends to a tuple", absl::StrCat(")(", Int(1), "e."), "appending to a tuple"},
      {"state of an int", absl::StrCat(Int(1), "}b."), "setting the state of an int"},
      {"state of a dict that is no dict", absl::StrCat("}", Int(1), "b."),
       "setting the state of a dict"},
      {"call of an int", absl::StrCat(Int(1), ")R."), "no function"},
      {"call without a tuple", absl::StrCat(kHooks, Int(1), "R."), "no tuple"},
      {"OrderedDict of a list", absl::StrCat(Global("collections", "OrderedDict"), "]\x85R."),
       "OrderedDict"},
      {"object of no class", absl::StrCat(Int(1), ")\x81."), "class"},
      {"global of ints", absl::StrCat(Int(1), Int(2), "\x93."), "no str"},
      {"stack underflow", "a.", "from the stack"},
      {"underflow below a mark", absl::StrCat(Int(1), "(s."), "from the stack"},
      {"no mark", "t.", "no mark"},
      {"memo never put", "h\x05.", "memo 5"},
      {"memo over the limit", "Nr\xff\xff\xff\xff.", "memo index"},
      {"left over", "NN.", "left over"},
      {"trailing", "N.N", "follow the end"},
      {"protocol 0 int", "I1\n.", "opcode 0x49"},
      {"extension registry", "\x82\x01.", "opcode 0x82"},
      {"instance by name", "(ios\nsystem\n.", "opcode 0x69"},
      {"protocol", "\x80\x09N.", "protocol 9"},
  };
  for (const Case& c : cases) {
    EXPECT_THAT(PickleError(c.opcodes), AllOf(StartsWith("INVALID_ARGUMENT CHECKPOINT_INVALID"),
                                              HasSubstr("data.pkl"), HasSubstr(c.message)))
        << c.what;
  }
}

TEST(PickleReader, SaysWhenThePickleEndsEarly) {
  for (const std::string& opcodes :
       {std::string(), std::string("N"), std::string("J\1\2", 3),
        absl::StrCat("X", std::string("\xff\0\0\0", 4)), std::string("cos\nsys"),
        absl::StrCat("\x8e", std::string(8, '\xff'))}) {
    EXPECT_THAT(PickleError(opcodes), StartsWith("DATA_LOSS CHECKPOINT_TRUNCATED"));
  }
}

TEST(PickleReader, BoundsDepthAndCounts) {
  EXPECT_THAT(PickleError(std::string(1000, '(')), HasSubstr("nested over 64 deep"));
  CheckpointLimits few;
  few.max_tensors = 10;
  EXPECT_THAT(PickleError(std::string(1000, '}'), few), HasSubstr("more than 80 values"));
}

// What a pickle says once and then repeats, at four bytes each.
TEST(PickleReader, RepeatingALongTupleCostsNothing) {
  std::string numbers;
  for (int i = 0; i < 1'000'000; ++i) numbers += "K\1";
  const std::string size = absl::StrCat(Tuple(numbers), "q", std::string(1, '\0'));
  const std::string arguments = Tuple(absl::StrCat(Storage("FloatStorage", "0", 4), Int(0), size,
                                                   "h", std::string(1, '\0'), "\x89", kHooks));
  std::string calls =
      absl::StrCat(Global("torch._utils", "_rebuild_tensor_v2"), "q\1", arguments, "q\2R0");
  for (int i = 0; i < 1'000'000; ++i) calls += "h\1h\2R0";
  EXPECT_THAT(PickleError(calls), HasSubstr("_rebuild_tensor_v2 has arguments of wrong types"));
}

TEST(PickleReader, RepeatingALongNameDoesNotFillTheMemory) {
  const std::string tensor = Tensor(Storage("FloatStorage", "0", 4), 0, Int(4), Int(1));
  std::string pickle =
      absl::StrCat(kStart, tensor, "q\1", "0", Text(std::string(1000, 'n')), "q\2", "0}(");
  for (int i = 0; i < 200'000; ++i) pickle += "h\2h\1";
  EXPECT_THAT(FileError(absl::StrCat(pickle, "u.")),
              HasSubstr("has too many tensors or too long names"));
}

TEST(PickleReader, RepeatingAModuleUnderALongNameCostsNothing) {
  const std::string module = absl::StrCat(Global("__torch__", "M"), ")\x81", "q\1", "}(",
                                          Text(std::string(1 << 20, 'n')), "q\2", "K\1");
  std::string attributes;
  for (int i = 0; i < 100'000; ++i) attributes += "h\2h\1";
  const std::string archive =
      ZipBuilder()
          .Add("r/data.pkl", absl::StrCat(kStart, module, attributes, "ub."))
          .Add("r/code/__torch__.py", "class M(Module):\n  __parameters__ = []\n")
          .Add("r/constants.pkl", absl::StrCat(kStart, ")."))
          .Build();
  EXPECT_THAT(Says(OpenBytes(archive).status()), HasSubstr("has no parameters"));
}

TEST(PickleReader, CyclesAreHarmless) {
  // d = {}; d["state_dict"] = d
  EXPECT_THAT(FileError(absl::StrCat(kStart, "}q\1", Text("state_dict"), "h\1s.")),
              StartsWith("INVALID_ARGUMENT CHECKPOINT_INVALID holds no tensors"));
}

TEST(PickleReader, ReadsNegativeAndLongNumbers) {
  const std::string minus_two("\x8a\x01\xfe", 3),
      big = absl::StrCat("\x8a\x09", std::string(9, '\x01'));
  const std::string pickle =
      absl::StrCat(kStart, Tuple(absl::StrCat(minus_two, big, "\x8a", std::string(1, '\0'))), ".");
  absl::StatusOr<Pickle> read = ReadPickle(pickle, {});
  ASSERT_TRUE(read.ok()) << read.status();
  const std::vector<PickleRef>& items = read->heap[read->root].items;
  EXPECT_EQ(read->heap[items[0]].number, -2);
  EXPECT_EQ(read->heap[items[1]].kind, PickleKind::kObject);
  EXPECT_EQ(read->heap[items[2]].number, 0);
}

TEST(TorchSaveReader, RefusesNamesThatCannotBeWritten) {
  const std::string tensor = Tensor(Storage("FloatStorage", "0", 4), 0, Int(3), Int(1));
  EXPECT_THAT(FileError(absl::StrCat(kStart, "}", Text("w\xff"), tensor, "s.")),
              HasSubstr("not UTF-8"));
  EXPECT_THAT(FileError(absl::StrCat(kStart, "}", Text("__metadata__"), tensor, "s.")),
              HasSubstr("__metadata__"));
  EXPECT_THAT(FileError(absl::StrCat(kStart, "}", Text(std::string(2000, 'x')), tensor, "s.")),
              HasSubstr("longer than 1024"));
  EXPECT_THAT(FileError(absl::StrCat(kStart, "}", Int(3), tensor, "s.")),
              HasSubstr("an int for a name"));
  EXPECT_THAT(FileError(absl::StrCat(kStart, "}(", Text("w"), tensor, Text("w"), tensor, "u.")),
              HasSubstr("tensor 'w': is named twice"));
}

TEST(TorchSaveReader, RefusesAnObjectWhereTheWeightsShouldBe) {
  const std::string tensor = Tensor(Storage("FloatStorage", "0", 4), 0, Int(3), Int(1));
  const std::string module = absl::StrCat(Global("vit", "Net"), ")\x81}b");
  EXPECT_THAT(
      FileError(absl::StrCat(kStart, "}(", Text("model"), module, Text("best"), tensor, "u.")),
      AllOf(StartsWith("UNIMPLEMENTED CHECKPOINT_UNSUPPORTED"),
            HasSubstr("key 'model' holds an object of vit.Net")));
}

TEST(TorchSaveReader, RefusesBigEndian) {
  const std::string pickle =
      StateDictOf(Tensor(Storage("FloatStorage", "0", 4), 0, Int(4), Int(1)));
  const auto with_order = [&](const std::string& order) {
    return Says(OpenBytes(ZipBuilder()
                              .Add("r/data.pkl", pickle)
                              .Add("r/byteorder", order)
                              .Add("r/data/0", std::string(16, '\1'))
                              .Build())
                    .status());
  };
  EXPECT_THAT(with_order("little"), StartsWith("OK"));
  EXPECT_THAT(with_order("big"),
              AllOf(StartsWith("UNIMPLEMENTED CHECKPOINT_UNSUPPORTED"), HasSubstr("big-endian")));
  EXPECT_THAT(with_order("odd"), StartsWith("INVALID_ARGUMENT"));
}

TEST(TorchSaveReader, RefusesOtherZipArchives) {
  EXPECT_THAT(Says(OpenBytes(ZipBuilder().Add("a/b.npy", "x").Build()).status()),
              HasSubstr("without data.pkl"));
  EXPECT_THAT(
      Says(OpenBytes(ZipBuilder().Add("a/data.pkl", "x").Add("b/data.pkl", "x").Build()).status()),
      HasSubstr("more than one data.pkl"));
  EXPECT_THAT(
      Says(OpenBytes(ZipBuilder().Add("a/data.pkl", "x", ZipFaults::Method(8)).Build()).status()),
      HasSubstr("compressed"));
}

}  // namespace
}  // namespace stockpot
