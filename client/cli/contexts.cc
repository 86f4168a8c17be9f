#include "client/cli/contexts.h"

#include <fcntl.h>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/document.h"
#include "client/cli/errors.h"
#include "client/cli/paths.h"
#include "client/cli/read_file.h"

namespace stockpot::cli {
namespace {

using nlohmann::json;

constexpr uintmax_t kMaxFileMebibytes = 1;

struct Field {
  const char* key;
  std::string& (*of)(Target&);
  bool is_path;
};

constexpr Field kFields[] = {
    {"server", [](Target& t) -> std::string& { return t.server; }, false},
    {"client", [](Target& t) -> std::string& { return t.client; }, false},
    {"ca_file", [](Target& t) -> std::string& { return t.security.ca_file; }, true},
    {"certificate_file", [](Target& t) -> std::string& { return t.security.certificate_file; },
     true},
    {"key_file", [](Target& t) -> std::string& { return t.security.key_file; }, true},
    {"token_file", [](Target& t) -> std::string& { return t.security.token_file; }, true},
};

class Reader {
 public:
  Reader(const Document& document, std::string folder)
      : document_(document), folder_(std::move(folder)) {}

  absl::StatusOr<Contexts> Read() {
    Contexts contexts;
    if (document_.root.is_null()) return contexts;
    if (!document_.root.is_object()) return Problem("", "expected `current` and `contexts`");
    for (const auto& [key, value] : document_.root.items()) {
      if (key == "current" && value.is_string()) {
        contexts.current = value.get<std::string>();
      } else if (key == "contexts" && value.is_object()) {
        for (const auto& [name, fields] : value.items()) {
          absl::StatusOr<Target> target = ReadTarget(fields, ChildPath(key, name));
          if (!target.ok()) return target.status();
          contexts.targets[name] = *std::move(target);
        }
      } else {
        return Problem(key, "expected current: NAME, and contexts: {NAME: {server: …}}");
      }
    }
    return contexts;
  }

 private:
  absl::StatusOr<Target> ReadTarget(const json& fields, const std::string& path) {
    Target target;
    if (!fields.is_object()) return Problem(path, "expected the fields of a context");
    for (const auto& [key, value] : fields.items()) {
      const std::string place = ChildPath(path, key);
      if (key == "tls" && value.is_boolean()) {
        target.security.tls = value.get<bool>();
      } else if (absl::Status status = ReadField(key, value, place, target); !status.ok()) {
        return status;
      }
    }
    if (target.server.empty()) return Problem(path, "has no server: HOST:PORT or unix:PATH");
    return target;
  }

  absl::Status ReadField(const std::string& key, const json& value, const std::string& place,
                         Target& target) {
    if (key == "token") {
      return Problem(place,
                     "a secret: put it into a file that only you can read, and give "
                     "token_file");
    }
    std::vector<std::string> known = {"tls"};
    for (const Field& field : kFields) {
      known.emplace_back(field.key);
      if (field.key != key) continue;
      if (!value.is_string()) return Problem(place, "expected a string");
      field.of(target) = field.is_path ? AbsolutePath(value.get<std::string>(), folder_)
                                       : value.get<std::string>();
      return absl::OkStatus();
    }
    return Problem(place, absl::StrCat("expected one of ", absl::StrJoin(known, ", ")));
  }

  absl::Status Problem(const std::string& path, const std::string& description) const {
    const auto place = document_.places.find(path);
    return absl::InvalidArgumentError(absl::StrCat(
        path,
        place == document_.places.end()
            ? ""
            : absl::StrCat(" (line ", place->second.line, ", column ", place->second.column, ")"),
        ": ", description));
  }

  const Document& document_;
  const std::string folder_;
};

std::string ToYaml(const Contexts& contexts) {
  YAML::Emitter out;
  out << YAML::BeginMap;
  if (!contexts.current.empty()) out << YAML::Key << "current" << YAML::Value << contexts.current;
  out << YAML::Key << "contexts" << YAML::Value << YAML::BeginMap;
  for (const auto& [name, target] : contexts.targets) {
    Target copy = target;
    out << YAML::Key << name << YAML::Value << YAML::BeginMap;
    for (const Field& field : kFields) {
      if (!field.of(copy).empty()) {
        out << YAML::Key << field.key << YAML::Value << YAML::DoubleQuoted << field.of(copy);
      }
    }
    if (target.security.tls) out << YAML::Key << "tls" << YAML::Value << true;
    out << YAML::EndMap;
  }
  out << YAML::EndMap << YAML::EndMap;
  return absl::StrCat(out.c_str(), "\n");
}

}  // namespace

absl::StatusOr<Contexts> ReadContexts(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path, kMaxFileMebibytes);
  if (absl::IsNotFound(text.status())) return Contexts();
  if (!text.ok()) return text.status();
  const absl::StatusOr<Document> document = ParseYaml(*text);
  if (!document.ok()) return Annotate(document.status(), path);
  absl::StatusOr<Contexts> contexts =
      Reader(*document, std::filesystem::path(path).parent_path().string()).Read();
  return contexts.ok() ? std::move(contexts) : Annotate(contexts.status(), path);
}

absl::Status WriteContexts(const std::string& path, const Contexts& contexts) {
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  const std::string text = ToYaml(contexts);
  std::string part = absl::StrCat(path, ".XXXXXX");
  const int file = mkostemp(part.data(), O_CLOEXEC);
  const bool written =
      file >= 0 && write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (file >= 0) close(file);
  if (written && std::rename(part.c_str(), path.c_str()) == 0) return absl::OkStatus();
  if (file >= 0) unlink(part.c_str());
  return absl::InternalError(absl::StrCat("cannot write ", path));
}

absl::StatusOr<Target> FindContext(const Contexts& contexts, const std::string& name) {
  const auto found = contexts.targets.find(name);
  if (found != contexts.targets.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [known, target] : contexts.targets) names.push_back(known);
  return absl::InvalidArgumentError(
      absl::StrCat("there is no context '", name, "'",
                   names.empty() ? ": make it with stockpot context set" : "; there are ",
                   absl::StrJoin(names, ", ")));
}

void FillIn(Target& target, const Target& more) {
  const auto fill = [](std::string& text, const std::string& other) {
    if (text.empty()) text = other;
  };
  fill(target.server, more.server);
  fill(target.client, more.client);
  SecurityFlags& security = target.security;
  security.tls = security.tls || more.security.tls;
  fill(security.ca_file, more.security.ca_file);
  if (security.certificate_file.empty() && security.key_file.empty()) {
    security.certificate_file = more.security.certificate_file;
    security.key_file = more.security.key_file;
  }
  if (security.token.empty() && security.token_file.empty()) {
    security.token = more.security.token;
    security.token_file = more.security.token_file;
  }
}

}  // namespace stockpot::cli
