#include "server/worker/checkpoint/torch_script_classes.h"

#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr uint64_t kMaxCodeBytes = 64 << 20;
constexpr absl::string_view kSuffix = ".py";

// The texts between quotation marks of `["weight", "bias", ]`.
void AddNames(absl::string_view list, std::set<std::string>* names) {
  const std::vector<absl::string_view> parts = absl::StrSplit(list, '"');
  for (size_t i = 1; i + 1 < parts.size(); i += 2) names->insert(std::string(parts[i]));
}

void AddClasses(absl::string_view module, absl::string_view code, TorchScriptClasses* classes) {
  std::set<std::string>* names = nullptr;
  for (absl::string_view line : absl::StrSplit(code, '\n')) {
    if (absl::ConsumePrefix(&line, "class ")) {
      names = absl::ConsumeSuffix(&line, "(Module):") ? &(*classes)[absl::StrCat(module, ".", line)]
                                                      : nullptr;
    } else if (names != nullptr && (absl::ConsumePrefix(&line, "  __parameters__ = [") ||
                                    absl::ConsumePrefix(&line, "  __buffers__ = ["))) {
      AddNames(line, names);
    }
  }
}

}  // namespace

bool IsTorchScript(const ZipArchive& archive, absl::string_view root) {
  if (archive.Find(absl::StrCat(root, "/constants.pkl")) != nullptr) return true;
  const std::string code = absl::StrCat(root, "/code/");
  for (const ZipEntry& entry : archive.entries()) {
    if (absl::StartsWith(entry.name, code)) return true;
  }
  return false;
}

absl::StatusOr<TorchScriptClasses> ReadTorchScriptClasses(const ZipArchive& archive,
                                                          absl::string_view root) {
  const std::string folder = absl::StrCat(root, "/code/");
  TorchScriptClasses classes;
  uint64_t left = kMaxCodeBytes;
  for (const ZipEntry& entry : archive.entries()) {
    absl::string_view name = entry.name;
    if (!absl::ConsumePrefix(&name, folder) || !absl::ConsumeSuffix(&name, kSuffix)) continue;
    ASSIGN_OR_RETURN(const std::string code, Inflate(entry, left));
    left -= code.size();
    AddClasses(absl::StrReplaceAll(name, {{"/", "."}}), code, &classes);
  }
  return classes;
}

}  // namespace stockpot
